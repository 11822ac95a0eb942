//! Migrations are embedded by a macro; without this line a new file among them would go unnoticed.
fn main() {
    println!("cargo:rerun-if-changed=../../migrations");
}
