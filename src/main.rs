//! The `lpz` command.

fn main() {}
