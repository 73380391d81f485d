//! Tables, as `kubectl get` asks for them.

use serde_json::{Value, json};

use crate::fixture::{Fixture, widgets};

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

fn columns(table: &Value) -> Vec<&str> {
    let columns = table["columnDefinitions"].as_array().unwrap().iter();
    columns
        .map(|column| column["name"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn pods_have_a_row_each() {
    let fixture = Fixture::new().await;
    let pods = "/api/v1/namespaces/default/pods";
    let pod =
        json!({"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    fixture.post(pods, &pod).await.expect(201);
    let table = fixture.get_as(pods, TABLE).await.expect(200);
    assert_eq!(
        columns(&table),
        [
            "Name",
            "Ready",
            "Status",
            "Restarts",
            "Age",
            "IP",
            "Node",
            "Nominated Node",
            "Readiness Gates"
        ]
    );
    let cells = &table["rows"][0]["cells"];
    assert_eq!(cells.as_array().unwrap().len(), 9);
    assert_eq!(
        (&cells[0], &cells[1], &cells[2], &cells[6]),
        (
            &json!("a"),
            &json!("0/1"),
            &json!("Pending"),
            &json!("<none>")
        )
    );
    assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
}

#[tokio::test]
async fn definitions_say_which_columns() {
    let fixture = Fixture::new().await;
    fixture
        .post(
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
            &widgets(),
        )
        .await
        .expect(201);
    let path = "/apis/example.com/v1/namespaces/default/widgets";
    let widget = json!({
        "apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "a"},
        "spec": {"color": "red"},
    });
    fixture.post(path, &widget).await.expect(201);
    let table = fixture.get_as(path, TABLE).await.expect(200);
    assert_eq!(columns(&table), ["Name", "Color"]);
    assert_eq!(table["rows"][0]["cells"], json!(["a", "red"]));
}

#[tokio::test]
async fn every_kind_has_as_many_cells_as_columns() {
    let fixture = Fixture::new().await;
    let groups = fixture.get("/apis").await.expect(200);
    let mut roots = vec!["/api/v1".to_owned()];
    for group in groups["groups"].as_array().unwrap() {
        for version in group["versions"].as_array().unwrap() {
            roots.push(format!(
                "/apis/{}",
                version["groupVersion"].as_str().unwrap()
            ));
        }
    }
    let mut seen = 0;
    for root in roots {
        let list = fixture.get(&root).await.expect(200);
        for resource in list["resources"].as_array().unwrap() {
            if !resource["verbs"].to_string().contains("\"list\"") {
                continue;
            }
            let path = format!("{root}/{}", resource["name"].as_str().unwrap());
            let table = fixture.get_as(&path, TABLE).await.expect(200);
            let width = columns(&table).len();
            for row in table["rows"].as_array().unwrap() {
                assert_eq!(row["cells"].as_array().unwrap().len(), width, "{path}");
            }
            seen += 1;
        }
    }
    assert!(seen > 50);
}
