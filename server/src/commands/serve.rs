//! `stillroom serve`: the laboratory, with its pages.

use crate::{
    command_line::Serve,
    confusion::Confusions,
    data_folder::DataFolder,
    datasets::{self, DatasetPaths, Shelf},
    error::CommandError,
    examples,
    executor::local,
    http::{self, Shutdown, Site, connections, guard, password, password::Password},
    machine, process,
    runner::{self, Runner},
    speed_of_candle::measure_once_needed,
    votes::Votes,
};
use app::laboratory::{Current, Laboratory, LatestReport};
use leptos::config::{Env, LeptosOptions};
use std::{
    collections::BTreeMap,
    env, fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};
use store::Store;
use tokio::{net::TcpListener, sync::watch, task};
use train::dataset::Notes;

pub async fn serve(arguments: Serve) -> Result<(), CommandError> {
    let password = password(&arguments)?;
    if !arguments.bind.is_loopback() && password.is_none() {
        return Err(CommandError::PasswordNeeded(arguments.bind));
    }
    let public_url = arguments.public_url.as_deref().map(public_url).transpose()?;
    let io = |doing, what: &str| {
        let path = what.into();
        move |source| CommandError::Io { doing, path, source }
    };

    let folder = DataFolder::open(&arguments.installation.data.dir, "a server that is starting")?;
    let shutdown = process::ends().map_err(io("listen for", "signals"))?;
    let store = Store::open(folder.path()).await?;
    let places = datasets::find(folder.path(), &arguments.installation.datasets);
    let images = train::folder::images_path(folder.path());
    let limit = arguments.installation.teacher_logits_limit;
    let (machine, samples) = machine::find(folder.path(), &places, Notes::Kept(&images), arguments.threads, limit);
    datasets::forget_images(&store, &machine, &images).await?;
    let machine = machine::measured(machine, false, Some(folder.path()));
    if let Some(notice) = machine.notice() {
        eprintln!("{notice}");
    }

    let address = SocketAddr::new(arguments.bind, arguments.port);
    let listen = |source| CommandError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let url = format!("http://{}", from_here(address));
    folder.say(&format!("the server at {url}")).map_err(io("write", "the data folder's lock"))?;

    let program = arguments.worker_program.map_or_else(local::program, Ok).map_err(io("find", "this program"))?;
    // Studies of what is here and cannot be used wait, as those of what is not here do.
    let usable = places.iter().filter(|(dataset, _)| machine.lacks(**dataset).is_none());
    let paths = Current::from(usable.map(|(dataset, path)| (*dataset, path.clone())).collect::<DatasetPaths>());
    let confusions = Arc::new(Confusions::new(folder.path().to_owned(), paths.clone()));
    let runner = Runner {
        store: store.clone(),
        data_dir: folder.path().to_owned(),
        datasets: paths.clone(),
        threads: machine.threads,
        memory: machine.memory,
        teacher_logits_limit: machine.teacher_logits_limit,
        only: None,
        program,
        teacher_logits_bytes: Arc::default(),
    };
    let imported_to = folder.path().to_owned();
    let laboratory = Laboratory {
        store: store.clone(),
        machine: machine.into(),
        imported: Arc::new(move || machine::imported(&imported_to)),
        samples: samples.into(),
        elsewhere: datasets::elsewhere(folder.path(), &places).into(),
        downloads: BTreeMap::new().into(),
        upload_limit: arguments.upload_limit,
        teacher_logits_bytes: Arc::clone(&runner.teacher_logits_bytes),
        public_url: public_url.clone(),
        examples: examples::examples(),
        latest: LatestReport::default(),
        kept_networks: Arc::new(Votes::new(confusions)),
    };
    let (kept_in, machine, samples) =
        (folder.path().to_owned(), laboratory.machine.clone(), laboratory.samples.clone());
    let shelf = Shelf::new(kept_in.clone(), places, paths, machine.clone(), samples, store.clone());
    let measured_for = store.clone();
    let measure_candle = async move {
        if let Err(error) = measure_once_needed(&measured_for, &machine, kept_in).await {
            tracing::warn!(%error, "how slow networks for large images are here is not measured");
        }
    };
    let options = LeptosOptions::builder().output_name("stillroom").site_addr(address).env(Env::PROD).build();
    let site = Site {
        laboratory,
        options,
        password: password.map(Arc::new),
        shutdown: Shutdown(shutdown.clone()),
        shelf,
        download_from: arguments.download_from,
    };
    let host = train::worker::host();
    let router = http::router(site, guard::Names::new(address, public_url.as_deref(), host.as_deref()));

    let runner = task::spawn(runner::run(runner, shutdown.clone()));
    task::spawn(until(shutdown.clone(), measure_candle));
    println!("Stillroom is at {url}");
    if let Some(host) = host.filter(|_| address.ip().is_unspecified()) {
        println!(
            "Others on this machine's network reach it at http://{host}:{port}, or by any of its addresses.",
            port = address.port()
        );
    }
    connections::serve(listener, router, shutdown).await;
    eprintln!("Stopping: workers write a checkpoint and leave.");
    // Its own troubles it has told already; here it only counts that it is through.
    let _ = runner.await;
    store.close().await;
    Ok(())
}

/// Works until it is through or the server stops.
async fn until(mut shutdown: watch::Receiver<bool>, work: impl Future<Output = ()>) {
    tokio::select! {
        () = work => {}
        _ = shutdown.wait_for(|shutdown| *shutdown) => {}
    }
}

/// The password in force: from the file that was named, else from the environment.
fn password(arguments: &Serve) -> Result<Option<Password>, CommandError> {
    let text = match &arguments.password_file {
        Some(path) => {
            let failed = |source| CommandError::Io { doing: "read the password from", path: path.clone(), source };
            Some(fs::read_to_string(path).map_err(failed)?)
        }
        None => env::var(password::VARIABLE).ok(),
    };
    let Some(text) = text else { return Ok(None) };
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(CommandError::PasswordEmpty);
    }
    let mut session_key = [0; 32];
    getrandom::fill(&mut session_key).map_err(|error| CommandError::Io {
        doing: "read",
        path: "the operating system's random bits".into(),
        source: std::io::Error::other(error.to_string()),
    })?;
    Ok(Some(Password::new(text, session_key)))
}

/// Where this machine reaches a server: "every address" is none that a browser could open.
fn from_here(address: SocketAddr) -> SocketAddr {
    let here = match address.ip() {
        ip if !ip.is_unspecified() => return address,
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    SocketAddr::new(here, address.port())
}

fn public_url(given: &str) -> Result<String, CommandError> {
    let url = given.strip_suffix('/').unwrap_or(given);
    match guard::public_authority(url) {
        Some(_) => Ok(url.to_owned()),
        None => Err(CommandError::PublicUrl { given: given.to_owned(), problem: "is not a scheme and a host alone" }),
    }
}
