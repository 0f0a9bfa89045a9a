//! Ids that a server generates, captured by the proxy and replayed on a server that generates others: what clients did with them,
//! in the session that got them and in others, falls on the right rows.

use std::path::Path;

use pgrehearse::workload::Reader;
use pgrehearse::workload::record::{End, Record};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_postgres::{Client, NoTls};

use crate::bench::{Bench, number, program, ran};
use crate::proxy::running::Proxy;
use crate::server::Server;

const TABLES: &str = "
    CREATE TABLE orders (id bigserial PRIMARY KEY, customer text, packed int DEFAULT 0);
    CREATE TABLE items (order_id bigint NOT NULL REFERENCES orders, n int);
    CREATE SEQUENCE shipment_ids;
    CREATE TABLE shipments (id int PRIMARY KEY, order_id bigint REFERENCES orders, sent bool DEFAULT false);
    CREATE TABLE tickets (token uuid DEFAULT gen_random_uuid(), order_id bigint REFERENCES orders, used int DEFAULT 0);";

/// What is to be equal whatever the ids are.
const CONTENTS: &str = "
    SELECT md5(string_agg(concat_ws(',', customer, packed, i.n, i.count, s.sent, t.used), ';' ORDER BY customer)), count(*)
    FROM orders o
    LEFT JOIN (SELECT order_id, sum(n) AS n, count(*) FROM items GROUP BY 1) i ON i.order_id = o.id
    LEFT JOIN shipments s ON s.order_id = o.id LEFT JOIN tickets t ON t.order_id = o.id";

const SELLERS: usize = 2;
const ORDERS: usize = 60;

async fn client(port: u16) -> Client {
    let dsn = format!("host=127.0.0.1 port={port} user=admin dbname=postgres");
    let (client, connection) = tokio_postgres::connect(&dsn, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Takes orders, with bound values, and hands their ids to another session.
async fn sell(seller: usize, port: u16, packer: mpsc::Sender<i64>) {
    let client = client(port).await;
    let order = client.prepare("INSERT INTO orders (customer) VALUES ($1) RETURNING id").await.unwrap();
    let item = client.prepare("INSERT INTO items (order_id, n) VALUES ($1, $2)").await.unwrap();
    let count = client.prepare("SELECT count(*) FROM items i WHERE i.order_id = $1").await.unwrap();
    for at in 0..ORDERS {
        let customer = format!("customer {seller}-{at:03}");
        let id: i64 = client.query_one(&order, &[&customer]).await.unwrap().get(0);
        for n in 0..2 {
            client.execute(&item, &[&id, &n]).await.unwrap();
        }
        let items: i64 = client.query_one(&count, &[&id]).await.unwrap().get(0);
        assert_eq!(items, 2);
        packer.send(id).await.unwrap();
    }
}

/// Ships orders, with values in the texts.
async fn pack(port: u16, mut orders: mpsc::Receiver<i64>) {
    let client = client(port).await;
    while let Some(order) = orders.recv().await {
        let row = |messages: Vec<tokio_postgres::SimpleQueryMessage>| {
            let is_row = |message| match message {
                tokio_postgres::SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap().to_owned()),
                _ => None,
            };
            messages.into_iter().find_map(is_row).unwrap()
        };
        let ask = async |sql: String| client.simple_query(&sql).await.unwrap();
        ask(format!("UPDATE orders SET packed = packed + 1 WHERE id = {order}")).await;
        assert_eq!(row(ask(format!("SELECT packed, customer FROM orders WHERE id = '{order}'")).await), "1");
        let shipment = row(ask("SELECT nextval('shipment_ids')".to_owned()).await);
        ask(format!("INSERT INTO shipments (id, order_id) VALUES ({shipment}, {order})")).await;
        ask(format!("BEGIN; UPDATE shipments SET sent = true WHERE id = {shipment}; COMMIT")).await;
        let token = row(ask(format!("INSERT INTO tickets (order_id) VALUES ({order}) RETURNING token")).await);
        let used = "UPDATE tickets SET used = used + 1 WHERE token = $1::text::uuid";
        assert_eq!(client.execute(used, &[&token]).await.unwrap(), 1);
    }
}

fn capture(old: &Server, workload: &Path) {
    let proxy = Proxy::start(&format!("127.0.0.1:{}", old.port), workload, &[]);
    let port = proxy.port;
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let mut running = tokio::task::JoinSet::new();
        for seller in 0..SELLERS {
            let (packer, orders) = mpsc::channel(4);
            running.spawn(sell(seller, port, packer));
            running.spawn(pack(port, orders));
        }
        while let Some(ended) = running.join_next().await {
            ended.unwrap();
        }
    });
    proxy.finish();
}

/// A server whose sequences stand elsewhere.
fn server(ahead: u32) -> Server {
    let server = Server::start("16", "");
    server.ask("postgres", &["-c", TABLES, "-c", "CREATE TABLE pgrehearse_disposable ()"]);
    let ahead = format!("SELECT setval('orders_id_seq', {ahead}), setval('shipment_ids', {})", ahead + 7_000);
    server.ask("postgres", &["-c", &ahead]);
    server
}

fn replay(bench: &Bench, fresh: &Server, name: &str, workload: &str) -> Value {
    let last = Reader::open(&bench.path("captured.jsonl")).unwrap().map(|line| line.unwrap().1).last();
    let Some(Record::End(End { span_us, .. })) = last else { panic!("no end line") };
    let scenario = format!(
        "name = \"ids\"\n[workload]\nfile = \"captured.jsonl\"\norder_wait = \"20s\"\n{workload}\n[staging]\nprovider = \"external\"\n\
         dsn = \"postgresql://admin@127.0.0.1:{}/postgres\"\n[upgrade]\nstrategy = \"none\"\n\
         [phases]\nwarmup = \"0s\"\nbefore = \"1s\"\nafter = \"{}s\"\n[clients]\ndeadline = \"30s\"\n",
        fresh.port,
        span_us / 1_000_000 + 3
    );
    let path = bench.path(&format!("{name}.toml"));
    std::fs::write(&path, scenario).unwrap();
    let mut command = program();
    command.arg("run").arg(&path).arg("--out").arg(bench.path(name));
    ran(command.output().unwrap(), bench.path(name)).report()
}

#[test]
fn ids_that_the_server_generates_are_those_of_the_replay() {
    let bench = Bench::new(1);
    let old = server(1_000);
    capture(&old, &bench.path("captured.jsonl"));
    let wanted = old.ask("postgres", &["-c", CONTENTS]);
    assert!(wanted.ends_with(&format!("|{}", SELLERS * ORDERS)), "{wanted}");

    let fresh = server(500_000);
    let report = replay(&bench, &fresh, "commit", "order = \"commit\"");
    let divergence = &report["divergence"];
    // Of each order: two items, a count, an update, a select, three inserts and two updates by ids; its shipment by two.
    let sent = (SELLERS * ORDERS * 10) as f64;
    assert_eq!(number(&report, "divergence.ids.mapped"), sent, "{divergence}");
    assert_eq!(number(&report, "divergence.ids.unfilled"), 0.0, "{divergence}");
    let (compared, differing) = (number(&report, "divergence.compared"), number(&report, "divergence.differing"));
    assert!(compared >= sent && differing <= compared / 1000.0, "{divergence}");
    assert_eq!(fresh.ask("postgres", &["-c", CONTENTS]), wanted, "{divergence}");

    // Without an order an id may be sent before it is there: that is counted.
    let report = replay(&bench, &server(600_000), "free", "order = \"free\"");
    let [mapped, unfilled] = ["mapped", "unfilled"].map(|name| number(&report, &format!("divergence.ids.{name}")));
    println!("order = \"free\": {}", report["divergence"]);
    assert!(mapped > 0.0 && mapped + unfilled == sent, "{}", report["divergence"]);

    // Each copy has ids of its own.
    let copied = server(700_000);
    let report = replay(&bench, &copied, "copies", "order = \"commit\"\ncopies = 2");
    assert_eq!(number(&report, "divergence.ids.mapped"), 2.0 * sent, "{}", report["divergence"]);
    let each = "SELECT count(*) || ' ' || min(packed) || max(packed) FROM orders";
    assert_eq!(copied.ask("postgres", &["-c", each]), format!("{} 11", 2 * SELLERS * ORDERS));
}
