//! How fast the node takes transactions and makes block templates of them, beside Bitcoin Core's bitcoind on the same
//! data.

use super::contest::{Node, Options, Program, Result, Table, Workload};
use serde_json::Value;

/// Templates made anew in a batch.
const TEMPLATES: u32 = 20;
/// Seconds after which a changed mempool makes a new template.
const TEMPLATE_AGE: u64 = 10;
/// The same template asked for again, in a batch.
const AGAIN: u32 = 20;
const TEMPLATE: (&str, &str) = ("getblocktemplate", r#"[{"rules":["segwit"]}]"#);

/// Runs the command with the arguments after its name.
pub(super) fn run(arguments: &[String]) -> Result {
    let options = Options::parse("mempool", arguments, 3)?;
    let workload = Workload::obtain()?;
    let programs = options.programs()?;
    let sent: Vec<String> = parameters(workload.lines("sent")?);
    let spare: Vec<String> = parameters(workload.lines("spare")?);
    println!(
        "a mempool of {} transactions, {} more",
        workload.waiting,
        sent.len()
    );
    let mut table = Table::default();
    for _ in 0..options.rounds {
        let mut round = Round::start(&workload, &programs)?;
        round.load(&mut table)?;
        round.send(&sent, &mut table)?;
        round.templates(&spare, &mut table)?;
        round.block(&mut table)?;
    }
    table.print(&programs);
    Ok(())
}

fn parameters(transactions: Vec<String>) -> Vec<String> {
    let list = |hex: String| format!(r#"["{hex}"]"#);
    transactions.into_iter().map(list).collect()
}

/// Fresh nodes, each with an empty mempool.
struct Round<'a> {
    workload: &'a Workload,
    nodes: Vec<Node>,
    /// Seconds since 1970, for the nodes.
    time: u64,
}

impl<'a> Round<'a> {
    fn start(workload: &'a Workload, programs: &[Program]) -> Result<Self> {
        let nodes = programs.iter().map(|program| workload.node(program));
        Ok(Self {
            workload,
            nodes: nodes.collect::<Result<_>>()?,
            time: workload.time + 60,
        })
    }

    fn load(&mut self, table: &mut Table) -> Result {
        let file = Value::from(self.workload.mempool_file().display().to_string());
        let params = format!("[{file}]");
        for (number, node) in self.nodes.iter_mut().enumerate() {
            let cost = node.time([("importmempool", params.as_str())])?;
            table.add("importmempool", 1, number, cost);
            let info = node.call("getmempoolinfo", "[]")?;
            if info["size"] != self.workload.waiting {
                let size = &info["size"];
                return Err(node.error(format!("took {size} transactions from the file")));
            }
        }
        Ok(())
    }

    fn send(&mut self, sent: &[String], table: &mut Table) -> Result {
        /// Transactions that one node is sent before it is the other's turn.
        const TURN: usize = 1000;
        for turn in sent.chunks(TURN) {
            for (number, node) in self.nodes.iter_mut().enumerate() {
                let calls = turn.iter().map(|tx| ("sendrawtransaction", tx.as_str()));
                let cost = node.time(calls)?;
                table.add("sendrawtransaction", TURN as u32, number, cost);
            }
        }
        Ok(())
    }

    fn templates(&mut self, spare: &[String], table: &mut Table) -> Result {
        for tx in spare.iter().take(TEMPLATES as usize) {
            self.time += TEMPLATE_AGE;
            let time = format!("[{}]", self.time);
            for (number, node) in self.nodes.iter_mut().enumerate() {
                node.call("setmocktime", &time)?;
                node.call("sendrawtransaction", tx)?;
                let cost = node.time([TEMPLATE])?;
                table.add("getblocktemplate, mempool changed", 1, number, cost);
            }
        }
        for (number, node) in self.nodes.iter_mut().enumerate() {
            let cost = node.time((0..AGAIN).map(|_| TEMPLATE))?;
            table.add("getblocktemplate, again", AGAIN, number, cost);
        }
        Ok(())
    }

    fn block(&mut self, table: &mut Table) -> Result {
        let mine = format!(r#"[1,"{}"]"#, self.workload.address);
        for (number, node) in self.nodes.iter_mut().enumerate() {
            let cost = node.time([("generatetoaddress", mine.as_str())])?;
            table.add("generatetoaddress, full block", 1, number, cost);
            let cost = node.time([TEMPLATE])?;
            table.add("getblocktemplate, after a block", 1, number, cost);
        }
        Ok(())
    }
}
