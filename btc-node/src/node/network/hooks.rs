//! What the RPC sees of the network and does with it.

use super::inputs::Input;
use super::{Network, lock};
use crate::chainstate::BlockSummary;
use crate::net::dial::{Proxy, ProxyAddress};
use crate::net::message::Command;
use crate::net::subnet::Subnet;
use crate::net::{self, Directory, Message, NetAddress};
use crate::rpc::network::{AddConnectionError, AddError, AddedNode, PeerHooks, PeerView};
use crate::sync::dial::{Dialer, MAX_FEELERS};
use crate::sync::links::{Attempt, Link, Wanted};
use crate::sync::{ConnectionKind, Event, FetchError, OrphanInfo, PeerId, RelayInfo, UploadInfo};
use bitcoin::Transaction;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

impl Network {
    /// Encrypted or not: as the user asks, else as the node is set.
    fn choose_transport(&self, asked: Option<bool>) -> Result<bool, AddError> {
        match asked {
            Some(true) if !self.v2 => Err(AddError::NoV2),
            Some(v2) => Ok(v2),
            None => Ok(self.v2),
        }
    }

    fn close_all(&self, which: impl Fn(&Link) -> bool) -> bool {
        let ids: Vec<u64> = lock(&self.links)
            .open
            .iter()
            .filter(|(_, link)| which(link))
            .map(|(id, _)| *id)
            .collect();
        for id in &ids {
            self.connections.close(*id);
        }
        !ids.is_empty()
    }
}

impl PeerHooks for Network {
    fn peers(&self) -> Vec<PeerView> {
        let peers = lock(&self.peers).info();
        peers
            .into_iter()
            .filter_map(|info| {
                // One that is gone already, and only not yet forgotten, is not shown.
                let traffic = self.connections.traffic(info.id.0)?;
                let name = lock(&self.links).open.get(&info.id.0)?.name.clone();
                let mapped_as = self
                    .directory
                    .book()
                    .groups()
                    .mapped_as(info.address.address);
                Some(PeerView {
                    info,
                    traffic,
                    name,
                    mapped_as,
                })
            })
            .collect()
    }

    fn connect_once(&self, target: &str, v2: Option<bool>) -> Result<(), AddError> {
        let v2 = self.choose_transport(v2)?;
        if !self.is_active() {
            return Ok(());
        }
        let attempt = self.connect(Attempt {
            name: Some(target.to_owned()),
            address: None,
            kind: ConnectionKind::Manual,
            v2,
        });
        // Who asked finds out in the log and among the peers what came of it, and can look at once.
        if let Some(attempt) = attempt {
            self.wait_for(attempt);
        }
        Ok(())
    }

    fn connect_as(
        &self,
        target: &str,
        kind: ConnectionKind,
        v2: bool,
    ) -> Result<(), AddConnectionError> {
        if v2 && !self.v2 {
            return Err(AddConnectionError::NoV2);
        }
        let (full, blocks) = Dialer::limits(self.max_automatic);
        let most = match kind {
            ConnectionKind::OutboundFullRelay => full,
            ConnectionKind::BlockRelayOnly => blocks,
            ConnectionKind::Feeler => MAX_FEELERS,
            _ => usize::MAX,
        };
        let in_all = (full + blocks + MAX_FEELERS).min(self.max_automatic);
        {
            let links = lock(&self.links);
            if links.count(kind) >= most || links.automatic() >= in_all {
                return Err(AddConnectionError::Full);
            }
        }
        let attempt = self.connect(Attempt {
            name: Some(target.to_owned()),
            address: None,
            kind,
            v2,
        });
        if let Some(attempt) = attempt {
            self.wait_for(attempt);
        }
        Ok(())
    }

    fn add(&self, target: &str, v2: Option<bool>) -> Result<(), AddError> {
        let v2 = self.choose_transport(v2)?;
        let mut links = lock(&self.links);
        let exists = |wanted: &Wanted| !wanted.fixed && self.notation.same(&wanted.target, target);
        if links.wanted.iter().any(exists) {
            return Err(AddError::AlreadyAdded);
        }
        links.wanted.push(Wanted {
            target: target.to_owned(),
            v2,
            fixed: false,
            next: Duration::ZERO,
        });
        Ok(())
    }

    fn remove(&self, target: &str) -> Result<(), AddError> {
        let mut links = lock(&self.links);
        let before = links.wanted.len();
        links
            .wanted
            .retain(|wanted| wanted.fixed || wanted.target != target);
        if links.wanted.len() == before {
            return Err(AddError::NotAdded);
        }
        Ok(())
    }

    fn added(&self) -> Vec<AddedNode> {
        let links = lock(&self.links);
        links
            .wanted
            .iter()
            .filter(|wanted| !wanted.fixed)
            .map(|wanted| AddedNode {
                target: wanted.target.clone(),
                connected: links
                    .find(&wanted.target, &self.notation)
                    .map(|(_, link)| (link.address, link.kind == ConnectionKind::Inbound)),
            })
            .collect()
    }

    fn disconnect(&self, id: u64) -> bool {
        let found = lock(&self.links).open.contains_key(&id);
        self.connections.close(id);
        found
    }

    fn disconnect_address(&self, address: &str) -> bool {
        let endpoint = self.notation.read(address);
        self.close_all(|link| {
            link.name.as_deref() == Some(address) || endpoint == Some(link.address)
        })
    }

    fn disconnect_subnet(&self, subnet: &Subnet) {
        self.close_all(|link| subnet.contains(link.address.address));
    }

    fn totals(&self) -> (u64, u64) {
        self.connections.totals()
    }

    fn services(&self) -> u64 {
        lock(&self.peers).services().to_u64()
    }

    fn ping(&self) {
        // If the thread is gone, the node is stopping.
        let _ = lock(&self.inputs).send(Input::Event(Event::Ping));
    }

    fn announce(&self, tx: &Arc<Transaction>) {
        // Not through the queue: who asks next how much waits to be told must see it.
        self.handle(Event::Broadcast(Arc::clone(tx)));
    }

    fn is_active(&self) -> bool {
        self.active.load(Ordering::Acquire)
    }

    fn set_active(&self, active: bool) {
        tracing::info!("SetNetworkActive: {active}");
        self.active.store(active, Ordering::Release);
        if !active {
            self.close_all(|_| true);
        }
    }

    fn send_message(&self, id: u64, command: Command, payload: Vec<u8>) -> bool {
        let there = lock(&self.links).open.contains_key(&id);
        if there {
            let message = Message::Other { command, payload };
            self.connections.send(id, &message);
        }
        there
    }

    fn fetch_block(&self, id: u64, block: &BlockSummary) -> Result<(), FetchError> {
        let mut peers = lock(&self.peers);
        let actions = peers.fetch_block(PeerId(id), block)?;
        self.carry_out(actions);
        Ok(())
    }

    fn orphans(&self) -> Vec<OrphanInfo> {
        lock(&self.peers).orphans()
    }

    fn upload(&self) -> UploadInfo {
        let now = self.now();
        let mut peers = lock(&self.peers);
        peers.note_sent(now, self.connections.totals().1);
        peers.upload_info(now)
    }

    fn relay(&self) -> RelayInfo {
        lock(&self.peers).relay_info()
    }

    fn proxy(&self, network: net::Network) -> Option<Proxy> {
        if network == net::Network::I2p {
            let address = ProxyAddress::Ip(self.i2p?);
            return Some(Proxy {
                address,
                isolate: false,
            });
        }
        self.notation.routes.proxy(network)
    }

    fn directory(&self) -> &Directory {
        &self.directory
    }

    fn seconds(&self) -> i64 {
        Network::seconds(self)
    }

    fn bans_changed(&self) {
        self.files.save_bans(&self.directory.bans());
    }

    fn mapped_as(&self, address: NetAddress) -> u32 {
        self.directory.book().groups().mapped_as(address)
    }
}
