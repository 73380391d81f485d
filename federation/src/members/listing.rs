//! Lists, however many objects there are.

use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;
use kube::Api;
use kube::api::{DynamicObject, ListParams, ObjectMeta};
use serde::de::DeserializeOwned;

use super::readable::{Item, Read};
use super::watching::Deadlined as _;

/// Objects asked for at once.
const PAGE: u32 = 500;

/// The metadata of all objects that `params` selects, page by page; each page has the deadline.
pub async fn list_metadata(
    api: &Api<DynamicObject>,
    params: ListParams,
    deadline: Duration,
) -> kube::Result<Vec<ObjectMeta>> {
    let mut params = params.limit(PAGE);
    let mut all = Vec::new();
    loop {
        let page = api.list_metadata(&params).with_deadline(deadline).await?;
        all.extend(page.items.into_iter().map(|one| one.metadata));
        match next_page(params, page.metadata) {
            Some(next) => params = next,
            None => return Ok(all),
        }
    }
}

/// All objects, read one by one, page by page; each page has the deadline.
pub async fn list_all<K>(api: &Api<Item<K>>, deadline: Duration) -> kube::Result<Vec<Read<K>>>
where
    K: Clone + Debug + DeserializeOwned,
{
    let mut params = ListParams::default().limit(PAGE);
    let mut all = Vec::new();
    loop {
        let page = api.list(&params).with_deadline(deadline).await?;
        all.extend(page.items.into_iter().map(|Item(object)| object));
        match next_page(params, page.metadata) {
            Some(next) => params = next,
            None => return Ok(all),
        }
    }
}

fn next_page(params: ListParams, list: ListMeta) -> Option<ListParams> {
    let token = list.continue_.filter(|token| !token.is_empty())?;
    Some(params.continue_token(&token))
}
