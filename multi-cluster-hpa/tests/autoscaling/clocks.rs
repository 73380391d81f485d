//! A clock that jumps changes nothing: windows are times that have passed.

use rstest::rstest;

use crate::fixture::{Beginning, Scene, play, replicas};

#[rstest]
#[case(3600)]
#[case(-3600)]
fn a_jump_of_the_clock_neither_shortens_nor_lengthens_a_window(#[case] seconds: i64) {
    play(async {
        let scene = Scene::with_examples(Beginning::default()).await;
        // The crowd is leaving: fewer replicas would do, and the window holds the number.
        scene.until(39, 30).await;
        scene.clock.jump(seconds);
        scene.until(41, 0).await;
        assert_eq!(
            scene.wanted().await,
            replicas(&[("cluster2", 6), ("cluster3", 2)])
        );
        scene.until(50, 0).await;
        assert_eq!(
            scene.wanted().await,
            replicas(&[("cluster2", 2), ("cluster3", 2)])
        );
    });
}
