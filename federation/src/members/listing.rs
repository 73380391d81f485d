//! Lists, however many objects there are.

use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;
use kube::Api;
use kube::api::{DynamicObject, ListParams, ObjectMeta};
use kube::core::PartialObjectMeta;
use serde::de::DeserializeOwned;

use super::readable::{Item, Read, metadata};
use super::watching::Deadlined as _;

/// Objects asked for at once.
const PAGE: u32 = 500;

/// The metadata of all objects that `params` selects, page by page; each page has the deadline. Of what
/// cannot be read there is what can be.
pub async fn list_metadata(
    api: &Api<Item<PartialObjectMeta<DynamicObject>>>,
    params: ListParams,
    deadline: Duration,
) -> kube::Result<Vec<ObjectMeta>> {
    let listed = pages(api, params, deadline).await?;
    Ok(listed.iter().map(|one| metadata(one).clone()).collect())
}

/// All objects, read one by one, page by page; each page has the deadline.
pub async fn list_all<K>(api: &Api<Item<K>>, deadline: Duration) -> kube::Result<Vec<Read<K>>>
where
    K: Clone + Debug + DeserializeOwned,
{
    pages(api, ListParams::default(), deadline).await
}

async fn pages<K>(
    api: &Api<Item<K>>,
    params: ListParams,
    deadline: Duration,
) -> kube::Result<Vec<Read<K>>>
where
    K: Clone + Debug + DeserializeOwned,
{
    let mut params = params.limit(PAGE);
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
