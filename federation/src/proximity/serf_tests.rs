//! The formula, and the protocol's corners that a real agent doesn't show. The agent itself is in
//! `tests/real_sources.rs`.

use super::*;
use tokio::net::TcpListener;

fn coordinate(position: &[f64], height: f64, adjustment: f64) -> Coordinate {
    Coordinate {
        position: position.to_vec(),
        error: 0.1,
        adjustment,
        height,
    }
}

#[test]
fn the_distance_is_serfs() {
    let here = coordinate(&[0.0, 0.0], 0.001, 0.0);
    let there = coordinate(&[0.003, 0.004], 0.002, 0.0);
    assert_eq!(here.distance_to(&there), Some(Duration::from_millis(8)));

    // The cases of serf's own TestCoordinate_DistanceTo.
    let zero = coordinate(&[-0.5, 1.3, 2.4], 0.0, 0.0);
    let far = coordinate(&[1.2, -2.3, 3.4], 0.0, 0.0);
    let seconds =
        |one: &Coordinate, other: &Coordinate| one.distance_to(other).unwrap().as_secs_f64();
    assert_eq!(zero.distance_to(&zero), Some(Duration::ZERO));
    assert!((seconds(&zero, &far) - 4.104_875_150_354_758).abs() < 1e-6);
    let negative = coordinate(&[1.2, -2.3, 3.4], 0.0, -1.0e6);
    assert!((seconds(&zero, &negative) - 4.104_875_150_354_758).abs() < 1e-6);
    let (raised, higher) = (
        coordinate(&zero.position, 0.7, 0.0),
        coordinate(&far.position, 0.1, 0.0),
    );
    assert!((seconds(&raised, &higher) - 4.904_875_150_354_758).abs() < 1e-6);
    let adjusted = coordinate(&far.position, 0.0, 0.2);
    assert!((seconds(&zero, &adjusted) - 4.304_875_150_354_758).abs() < 1e-6);
}

#[test]
fn what_cannot_be_compared_has_no_distance() {
    let plane = coordinate(&[0.0, 0.0], 0.0, 0.0);
    assert_eq!(plane.distance_to(&coordinate(&[0.0], 0.0, 0.0)), None);
    assert_eq!(
        plane.distance_to(&coordinate(&[f64::NAN, 0.0], 0.0, 0.0)),
        None
    );
    assert_eq!(
        plane.distance_to(&coordinate(&[f64::INFINITY, 0.0], 0.0, 0.0)),
        None
    );
}

#[test]
fn a_key_is_not_printed() {
    let client = SerfClient::new("localhost:1", Some(AuthKey::new("swordfish")), DEADLINE);
    assert!(!format!("{client:?}").contains("swordfish"));
}

#[test]
fn a_value_is_complete_exactly_at_its_end() {
    let value = encode(&RequestHeader {
        command: "handshake",
        seq: 300,
    })
    .unwrap();
    for cut in 0..value.len() {
        assert_eq!(complete(&value[..cut]).unwrap(), None, "after {cut} bytes");
    }
    let followed = [&value[..], &value[..]].concat();
    assert_eq!(complete(&followed).unwrap(), Some(value.len()));
}

/// An agent that sends `bytes` on every connection, in pieces, whatever it is asked.
async fn agent(bytes: Vec<u8>, keep_open: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let mut open = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let size = if bytes.len() < 1000 { 1 } else { 4096 };
            for piece in bytes.chunks(size) {
                // The client may have gone away already.
                let _written = stream.write_all(piece).await;
                tokio::task::yield_now().await;
            }
            if keep_open {
                open.push(stream);
            }
        }
    });
    address
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Header {
    error: &'static str,
    seq: u64,
}

async fn fault(bytes: Vec<u8>, keep_open: bool) -> SerfFault {
    // Only the agent that says nothing runs into its deadline.
    let silent = bytes.is_empty();
    let deadline = if silent {
        Duration::from_millis(50)
    } else {
        DEADLINE
    };
    let address = agent(bytes, keep_open).await;
    let mut client = SerfClient::new(address, None, deadline);
    client.coordinate("fog1").await.unwrap_err().fault
}

#[tokio::test]
async fn answers_that_come_in_pieces_are_put_together() {
    let mut bytes = encode(&Header { error: "", seq: 1 }).unwrap();
    bytes.extend(encode(&Header { error: "", seq: 2 }).unwrap());
    // {"Coord": {"Vec": [0.25], "Error": 0.5, "Adjustment": 0, "Height": 0}, "Ok": true}
    let numbers = |value: f64| [&[0xcb][..], &value.to_be_bytes()[..]].concat();
    bytes.extend(b"\x82\xa5Coord\x84\xa3Vec\x91");
    bytes.extend(numbers(0.25));
    for (field, value) in [
        (&b"\xa5Error"[..], 0.5),
        (b"\xaaAdjustment", 0.0),
        (b"\xa6Height", 0.0),
    ] {
        bytes.extend(field);
        bytes.extend(numbers(value));
    }
    bytes.extend(b"\xa2Ok\xc3");
    let address = agent(bytes, true).await;
    let mut client = SerfClient::new(address, None, DEADLINE);
    let coordinate = client.coordinate("fog1").await.unwrap().unwrap();
    assert_eq!(coordinate.position, [0.25]);
}

#[tokio::test]
async fn faults_say_what_to_look_at() {
    let refused = fault(
        encode(&Header {
            error: "Authentication required",
            seq: 1,
        })
        .unwrap(),
        true,
    )
    .await;
    assert!(
        refused.to_string().contains("check the RPC auth key"),
        "{refused}"
    );
    assert!(matches!(
        fault(Vec::new(), true).await,
        SerfFault::Silent(_)
    ));
    assert!(matches!(
        fault(Vec::new(), false).await,
        SerfFault::Broken(_)
    ));
    let other = fault(b"HTTP/1.1 400 Bad Request\r\n".to_vec(), true).await;
    assert!(matches!(other, SerfFault::Malformed(_)), "{other}");
    // An array that never ends.
    let endless = fault(
        [
            &[0xdd, 0xff, 0xff, 0xff, 0xff][..],
            &vec![0xc0; MAX_VALUE + 1],
        ]
        .concat(),
        true,
    )
    .await;
    assert!(matches!(endless, SerfFault::Malformed(_)), "{endless}");
    let wrong = fault(encode(&Header { error: "", seq: 7 }).unwrap(), true).await;
    assert!(wrong.to_string().contains("request 7"), "{wrong}");
}
