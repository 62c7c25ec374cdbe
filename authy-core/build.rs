//! The migrations are embedded at compile time; cargo does not see that by itself.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
