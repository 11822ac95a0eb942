//! `cargo run --example migrated FILE`: makes a database from the migrations, for the queries to be checked against.

use sqlx::{ConnectOptions, Connection, sqlite::SqliteConnectOptions};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::env::args_os().nth(1).ok_or("name the database file to make")?;
    let mut connection = SqliteConnectOptions::new().filename(file).create_if_missing(true).connect().await?;
    sqlx::migrate!("../../migrations").run(&mut connection).await?;
    connection.close().await?;
    Ok(())
}
