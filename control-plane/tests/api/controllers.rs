//! What the server sees to by itself.

use serde_json::json;

use crate::fixture::Fixture;

#[tokio::test(start_paused = true)]
async fn every_namespace_has_a_default_service_account() {
    let fixture = Fixture::new().await;
    let team = json!({"metadata": {"name": "team"}});
    fixture.post("/api/v1/namespaces", &team).await.expect(201);
    let account = "/api/v1/namespaces/team/serviceaccounts/default";
    fixture.until(account, 200).await;
    fixture.delete(account).await.expect(200);
    fixture.until(account, 200).await;
    fixture
        .until("/api/v1/namespaces/default/services/kubernetes", 200)
        .await;
}
