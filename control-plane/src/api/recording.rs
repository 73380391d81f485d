//! What the audit log is told of a request on its way.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::header;
use http_body_util::BodyExt as _;

use super::server::Server;
use crate::access::User;
use crate::access::attributes::Attributes;
use crate::access::request_info::RequestInfo;
use crate::audit::{Audit, Level, Record};
use crate::objects::Objects;

/// What is known of a request so far; nothing if nothing is recorded.
pub(super) struct Recording(Option<Known>);

struct Known {
    audit: Audit,
    objects: Arc<Objects>,
    record: Record,
}

impl Recording {
    pub(super) fn begin(server: &Server, request: &Request) -> Self {
        Self(server.audit.as_ref().map(|audit| {
            let objects = Arc::clone(&server.objects);
            let agent = request.headers().get(header::USER_AGENT);
            let agent = agent.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
            let record = Record {
                id: objects.sources.uid(),
                received: objects.sources.now(),
                uri: request.uri().to_string(),
                agent: agent.unwrap_or_default(),
                ..Record::default()
            };
            Known {
                audit: audit.clone(),
                objects,
                record,
            }
        }))
    }

    /// Before it is known who asks.
    pub(super) fn asks(&mut self, attributes: &Attributes, info: &RequestInfo) {
        if let Some(known) = &mut self.0 {
            let version = info
                .resource
                .as_ref()
                .map(|resource| resource.version.clone());
            known.record.version = version.unwrap_or_default();
            known.record.attributes = attributes.clone();
            known.record.decision = known.audit.decide(&User::default(), attributes);
        }
    }

    pub(super) fn is_from(&mut self, user: &User) {
        if let Some(known) = &mut self.0 {
            known.record.decision = known.audit.decide(user, &known.record.attributes);
            known.record.user = user.clone();
        }
    }

    pub(super) fn acts_as(&mut self, user: Option<&User>) {
        if let Some(known) = &mut self.0 {
            known.record.impersonated = user.cloned();
        }
    }

    pub(super) fn is_allowed(&mut self) {
        if let Some(known) = &mut self.0 {
            known.record.allowed = true;
        }
    }

    pub(super) fn sends(&mut self, body: &[u8]) {
        if let Some(known) = &mut self.0
            && known.record.decision.level >= Level::Request
        {
            known.record.request = body.to_vec();
        }
    }

    /// Records the request with its answer, which it gives back. A watch is recorded when it
    /// begins.
    pub(super) async fn end(self, response: Response) -> Response {
        let Some(known) = self.0 else {
            return response;
        };
        let Known {
            audit,
            objects,
            mut record,
        } = known;
        if record.decision.level == Level::None {
            return response;
        }
        record.code = response.status().as_u16();
        let succeeded = response.status().is_success();
        if succeeded && record.attributes.verb == "watch" {
            audit.record(&record, "ResponseStarted", objects.sources.now());
            return response;
        }
        let shows = !succeeded || record.decision.level >= Level::RequestResponse;
        let response = if shows {
            let (parts, body) = response.into_parts();
            let bytes = body
                .collect()
                .await
                .map(http_body_util::Collected::to_bytes);
            let bytes = bytes.unwrap_or_default();
            record.response = bytes.to_vec();
            Response::from_parts(parts, Body::from(bytes))
        } else {
            response
        };
        audit.record(&record, "ResponseComplete", objects.sources.now());
        response
    }
}
