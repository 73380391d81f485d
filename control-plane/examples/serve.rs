//! Serves a control plane in memory over plain HTTP: `cargo run --example serve -- 127.0.0.1:8080`.

use std::env;
use std::error::Error;

use control_plane::store::{Options as StoreOptions, Store};
use control_plane::{ControlPlane, Options, User};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let options = Options {
        tokens: [
            ("admin".to_owned(), User::admin()),
            ("bob".to_owned(), User::new("bob", &["devs"])),
        ]
        .into(),
        anonymous: true,
        ..Options::default()
    };
    let plane = ControlPlane::start(Store::memory(StoreOptions::default()), options).await?;
    let listener = TcpListener::bind(&address).await?;
    control_plane::serve(listener, None, plane.router(), std::future::pending()).await?;
    Ok(())
}
