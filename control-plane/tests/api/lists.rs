//! Lists.

use serde_json::json;

use crate::fixture::Fixture;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

async fn with_maps(names: &[&str]) -> Fixture {
    let fixture = Fixture::new().await;
    for name in names {
        let map = json!({"metadata": {"name": name, "labels": {"name": name}}});
        fixture.post(MAPS, &map).await.expect(201);
    }
    fixture
}

fn names(list: &serde_json::Value) -> Vec<&str> {
    let items = list["items"].as_array().unwrap().iter();
    items
        .map(|item| item["metadata"]["name"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_list_goes_on_where_it_stopped() {
    let fixture = with_maps(&["a", "b", "c", "d", "e"]).await;
    let first = fixture.get(&format!("{MAPS}?limit=2")).await.expect(200);
    assert_eq!(names(&first), ["a", "b"]);
    assert_eq!(first["metadata"]["remainingItemCount"], 3);
    fixture.delete(&format!("{MAPS}/c")).await.expect(200);
    let token = first["metadata"]["continue"].as_str().unwrap();
    let second = fixture
        .get(&format!("{MAPS}?limit=2&continue={token}"))
        .await
        .expect(200);
    assert_eq!(names(&second), ["c", "d"]);
    assert_eq!(
        second["metadata"]["resourceVersion"],
        first["metadata"]["resourceVersion"]
    );
    let token = second["metadata"]["continue"].as_str().unwrap();
    let third = fixture
        .get(&format!("{MAPS}?limit=2&continue={token}"))
        .await
        .expect(200);
    assert_eq!(names(&third), ["e"]);
    assert!(third["metadata"].get("continue").is_none());
}

#[tokio::test]
async fn selectors_choose() {
    let fixture = with_maps(&["a", "b", "c"]).await;
    let cases = [
        ("labelSelector=name%20in%20(a,c)", vec!["a", "c"]),
        ("labelSelector=name!%3Da", vec!["b", "c"]),
        ("fieldSelector=metadata.name%3Db", vec!["b"]),
        ("fieldSelector=metadata.name!%3Db", vec!["a", "c"]),
        ("fieldSelector=metadata.namespace%3Dother", vec![]),
        ("labelSelector=name!%3Da&limit=1", vec!["b"]),
    ];
    for (query, expected) in cases {
        let list = fixture.get(&format!("{MAPS}?{query}")).await.expect(200);
        assert_eq!(names(&list), expected, "{query}");
    }
}

#[tokio::test]
async fn wrong_options_are_refused() {
    let fixture = with_maps(&[]).await;
    let cases = [
        (
            "limit=x",
            400,
            "strconv.ParseInt: parsing \"x\": invalid syntax",
        ),
        (
            "fieldSelector=foo%3Dbar",
            400,
            "\"foo\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"",
        ),
        (
            "labelSelector=a%20b",
            400,
            "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt",
        ),
        (
            "resourceVersionMatch=Exact",
            422,
            "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided",
        ),
    ];
    for (query, code, message) in cases {
        let answer = fixture.get(&format!("{MAPS}?{query}")).await;
        assert_eq!(
            (answer.code, answer.message().as_str()),
            (code, message),
            "{query}"
        );
    }
    let answer = fixture.get(&format!("{MAPS}?resourceVersion=99999")).await;
    assert_eq!(answer.code, 504);
}
