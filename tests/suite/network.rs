//! A network of a test's own between the host and a namespace, in which every packet can be dropped.
//!
//! Takes nothing; gives an address inside and sockets that listen there. Needs root, `ip` and `iptables`, and says so
//! where they are missing. Namespace and link are gone when it is dropped.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::process::Command;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

pub struct Network {
    namespace: String,
    inside: SocketAddr,
}

impl Network {
    /// A network that passes everything.
    ///
    /// # Errors
    /// Why there can be none here.
    pub fn make() -> Result<Self, String> {
        let number = std::process::id();
        // Of the range that is set aside for tests between networks, four addresses.
        let address = |host| format!("198.18.{}.{}", number / 64 % 256, number % 64 * 4 + host);
        let namespace = format!("pgr{number}");
        let (outer, inner) = (format!("{namespace}o"), format!("{namespace}i"));
        let network = Self { namespace: namespace.clone(), inside: format!("{}:0", address(2)).parse().unwrap() };
        run("ip", &["netns", "add", &namespace])?;
        run("ip", &["link", "add", &outer, "type", "veth", "peer", "name", &inner, "netns", &namespace])?;
        run("ip", &["address", "add", &format!("{}/30", address(1)), "dev", &outer])?;
        run("ip", &["link", "set", &outer, "up"])?;
        run("ip", &["-n", &namespace, "address", "add", &format!("{}/30", address(2)), "dev", &inner])?;
        run("ip", &["-n", &namespace, "link", "set", &inner, "up"])?;
        network.for_every_packet("-L")?;
        Ok(network)
    }

    /// A socket inside the namespace; whoever uses it need not be there.
    pub fn listen(&self) -> TcpListener {
        let (namespace, inside) = (File::open(format!("/var/run/netns/{}", self.namespace)).unwrap(), self.inside);
        // A thread that ends: the others of the process stay where they are.
        let enter = move || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            TcpListener::bind(inside).unwrap()
        };
        std::thread::spawn(enter).join().unwrap()
    }

    /// From now on every packet is lost, without a word to anybody.
    pub fn drop_packets(&self) {
        self.for_every_packet("-A").unwrap();
    }

    pub fn pass_packets(&self) {
        self.for_every_packet("-D").unwrap();
    }

    /// Lists, adds or deletes the rule.
    fn for_every_packet(&self, action: &str) -> Result<(), String> {
        for chain in ["INPUT", "OUTPUT"] {
            let rule: &[&str] = if action == "-L" { &[] } else { &["-j", "DROP"] };
            let iptables = ["netns", "exec", &self.namespace, "iptables", "-w", action, chain];
            run("ip", &[&iptables[..], rule].concat())?;
        }
        Ok(())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // The link goes with its inner end, but only once no socket is left inside: hence it goes by itself, too.
        for arguments in [["link", "delete", &format!("{}o", self.namespace)], ["netns", "delete", &self.namespace]] {
            if let Err(problem) = run("ip", &arguments) {
                eprintln!("{problem}");
            }
        }
    }
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let ended = Command::new(program).args(arguments).output().map_err(|error| format!("{program}: {error}"))?;
    let said = String::from_utf8_lossy(&ended.stderr);
    if ended.status.success() { Ok(()) } else { Err(format!("{program} {}: {}", arguments.join(" "), said.trim())) }
}
