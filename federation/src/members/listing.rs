//! Lists of metadata, however many objects there are.

use std::time::Duration;

use kube::Api;
use kube::api::{DynamicObject, ListParams, ObjectMeta};

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
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(all),
        }
    }
}
