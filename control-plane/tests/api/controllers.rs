//! What the server sees to by itself.

use std::time::Duration;

use serde_json::json;

use crate::fixture::Fixture;

/// Waits, in virtual time, until an answer has a code.
async fn answers(fixture: &Fixture, path: &str, code: u16) {
    let wait = async {
        while fixture.get(path).await.code != code {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(10), wait).await;
    assert!(waited.is_ok(), "{path} does not answer with {code}");
}

#[tokio::test(start_paused = true)]
async fn every_namespace_has_a_default_service_account() {
    let fixture = Fixture::new().await;
    let team = json!({"metadata": {"name": "team"}});
    fixture.post("/api/v1/namespaces", &team).await.expect(201);
    let account = "/api/v1/namespaces/team/serviceaccounts/default";
    answers(&fixture, account, 200).await;
    fixture.delete(account).await.expect(200);
    answers(&fixture, account, 200).await;
    answers(
        &fixture,
        "/api/v1/namespaces/default/services/kubernetes",
        200,
    )
    .await;
}
