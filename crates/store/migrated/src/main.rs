//! `migrated MIGRATIONS DATABASE` makes a new SQLite file with every migration of a folder applied.
//!
//! Queries are described against such a database at compile time (`cargo xtask prepare`). The program
//! reads the folder when it runs, so that a migration or a query that was just written needs no other one
//! to compile first.

use std::path::PathBuf;

use anyhow::{Context, bail};
use sqlx::migrate::Migrator;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(migrations), Some(database), None) = (arguments.next(), arguments.next(), arguments.next()) else {
        bail!("usage: migrated MIGRATIONS DATABASE");
    };
    let migrator = Migrator::new(migrations.as_path())
        .await
        .with_context(|| format!("cannot read the migrations in {}", migrations.display()))?;
    let mut connection = SqliteConnectOptions::new()
        .filename(&database)
        .create_if_missing(true)
        .connect()
        .await
        .with_context(|| format!("cannot make {}", database.display()))?;
    migrator.run(&mut connection).await.context("a migration failed")?;
    connection.close().await?;
    Ok(())
}
