//! How fast the node answers calls with large results, beside Bitcoin Core's bitcoind on the same data.

use super::contest::{Node, Options, Result, Table, Workload};
use serde_json::Value;

/// What is called, by name, method and parameters, and how often in a row.
struct Task {
    name: String,
    method: &'static str,
    params: String,
    times: u32,
}

/// Runs the command with the arguments after its name.
pub(super) fn run(arguments: &[String]) -> Result {
    let options = Options::parse("rpc", arguments, 5)?;
    let workload = Workload::obtain()?;
    let programs = options.programs()?;
    let mut nodes: Vec<Node> = programs
        .iter()
        .map(|program| workload.node(program))
        .collect::<Result<_>>()?;
    let file = Value::from(workload.mempool_file().display().to_string());
    for node in &mut nodes {
        node.call("importmempool", &format!("[{file}]"))?;
    }
    let tasks = tasks(&workload);
    println!(
        "a block of {} transactions; a mempool of {}",
        workload.transactions, workload.waiting
    );
    agree(&mut nodes, &tasks)?;
    let mut table = Table::default();
    for _ in 0..options.rounds {
        for task in &tasks {
            for (number, node) in nodes.iter_mut().enumerate() {
                let call = (task.method, task.params.as_str());
                let cost = node.time((0..task.times).map(|_| call))?;
                table.add(&task.name, task.times, number, cost);
            }
        }
    }
    table.print(&programs);
    Ok(())
}

fn tasks(workload: &Workload) -> Vec<Task> {
    let mut tasks: Vec<Task> = [(0, 30), (1, 30), (2, 8), (3, 6)]
        .map(|(verbosity, times)| Task {
            name: format!("getblock, verbosity {verbosity}"),
            method: "getblock",
            params: format!(r#"["{}",{verbosity}]"#, workload.full),
            times,
        })
        .into();
    tasks.extend([(false, 20), (true, 3)].map(|(verbose, times)| Task {
        name: format!("getrawmempool {verbose}"),
        method: "getrawmempool",
        params: format!("[{verbose}]"),
        times,
    }));
    tasks.push(Task {
        name: "getblockcount".to_owned(),
        method: "getblockcount",
        params: "[]".to_owned(),
        times: 2000,
    });
    tasks
}

/// Checks that all nodes give the same answers: times of different work say nothing.
fn agree(nodes: &mut [Node], tasks: &[Task]) -> Result {
    for task in tasks {
        let mut first: Option<Value> = None;
        for node in nodes.iter_mut() {
            let mut answer = node.call(task.method, &task.params)?;
            comparable(&mut answer);
            match &first {
                Some(first) if *first != answer => {
                    let reason = format!("{} has another answer than the other node", task.name);
                    return Err(node.error(reason));
                }
                Some(_) => {}
                None => first = Some(answer),
            }
        }
    }
    Ok(())
}

/// Puts lists of ids in order, since the mempool's depends on what chunks of equal feerate are sorted by.
fn comparable(answer: &mut Value) {
    match answer {
        Value::Array(items) if items.iter().all(Value::is_string) => {
            items.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
        }
        Value::Array(items) => items.iter_mut().for_each(comparable),
        Value::Object(fields) => fields.values_mut().for_each(comparable),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_order_of_ids_does_not_count() {
        let mut one = json!({"a": {"depends": ["y", "x"], "fee": 1}});
        let mut other = json!({"a": {"fee": 1, "depends": ["x", "y"]}});
        comparable(&mut one);
        comparable(&mut other);
        assert_eq!(one, other);
    }
}
