//! tradewind.
fn main() {}
