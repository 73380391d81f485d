//! Serves control planes over HTTPS, to be measured: `cargo xtask bench control-plane` starts it.

use std::error::Error;
use std::path::{Path, PathBuf};

use clap::Parser;
use control_plane::store::{OpenError, Options as StoreOptions, Store};
use control_plane::{ControlPlane, Host, Options, Tls, User};
use tokio::net::TcpListener;

/// Serves control planes on a free port of the loopback, and prints its address.
#[derive(Parser)]
struct Arguments {
    /// Where the certificates are; they are made if there are none
    #[arg(long)]
    tls: PathBuf,
    /// Keep every acknowledged write in this folder; in memory without
    #[arg(long)]
    data: Option<PathBuf>,
    /// How many, under /clusters/0, /clusters/1, …
    #[arg(long, default_value_t = 1)]
    planes: usize,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let tls = Tls::open(&arguments.tls, &["localhost", "127.0.0.1"])?;
    let host = Host::new();
    for number in 0..arguments.planes {
        let folder = arguments.data.as_deref();
        let folder = folder.map(|data| data.join(number.to_string()));
        let plane = ControlPlane::start(store(folder.as_deref())?, options()).await?;
        host.insert(&number.to_string(), plane.router());
    }
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    control_plane::serve(listener, Some(&tls), host.router(), std::future::pending()).await?;
    Ok(())
}

fn store(folder: Option<&Path>) -> Result<Store, OpenError> {
    let options = StoreOptions::default();
    Ok(match folder {
        None => Store::memory(options),
        Some(folder) => Store::open(folder, options)?,
    })
}

fn options() -> Options {
    Options {
        tokens: [
            ("bench".to_owned(), User::admin()),
            (
                "reader".to_owned(),
                User::new("reader", &["system:authenticated"]),
            ),
        ]
        .into(),
        ..Options::default()
    }
}
