//! Runs the example that shows how to embed a node.

#[path = "../examples/embed.rs"]
mod embed;

#[test]
fn a_node_runs_inside_another_program() {
    embed::main().expect("the example does what it says");
}
