//! Serves a control plane in memory, and one more under `/clusters/other`:
//! `cargo run --example serve -- 127.0.0.1:8080 [FOLDER]`. With a folder for certificates it speaks
//! TLS.

use std::env;
use std::error::Error;
use std::path::Path;

use control_plane::store::{Options as StoreOptions, Store};
use control_plane::{ControlPlane, Host, Options, Tls, User};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let names = ["localhost", "127.0.0.1"];
    let tls = env::args().nth(2);
    let tls = tls.map(|folder| Tls::open(Path::new(&folder), &names));
    let tls = tls.transpose()?;
    let start = || {
        let options = Options {
            tokens: [
                ("admin".to_owned(), User::admin()),
                ("bob".to_owned(), User::new("bob", &["devs"])),
            ]
            .into(),
            anonymous: true,
            ..Options::default()
        };
        ControlPlane::start(Store::memory(StoreOptions::default()), options)
    };
    let (plane, other) = (start().await?, start().await?);
    let host = Host::new();
    host.insert("other", other.router());
    let router = host.router_over(plane.router());
    let listener = TcpListener::bind(&address).await?;
    control_plane::serve(listener, tls.as_ref(), router, std::future::pending()).await?;
    Ok(())
}
