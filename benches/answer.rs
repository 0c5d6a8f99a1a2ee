//! What one answer costs: nanoseconds from query octets to reply octets, for each outcome of a
//! lookup, in zones of 10,000 and 100,000 names. `cargo bench --bench answer`

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::hint::black_box;
use std::time::Instant;

use pocketdns::dns::respond::{Transport, respond};
use pocketdns::wire::{Name, OwnerSets, RrSet, Rtype};
use pocketdns::zone::{Zone, Zones};

fn name(text: &str) -> Name {
    Name::parse_absolute(text).expect("a name written here")
}

fn owner(text: &str, rtype: Rtype, rdata: &[u8]) -> OwnerSets {
    OwnerSets {
        owner: name(text),
        sets: vec![RrSet { rtype, ttl: 300, rdata: vec![rdata.into()] }],
    }
}

fn zones(names: u32) -> Zones {
    let hosts = (0..names).flat_map(|i| {
        let host = format!("h{i:06}.lab.test");
        let alias = (i % 20 == 0)
            .then(|| owner(&format!("c{i:06}.lab.test"), Rtype::CNAME, name(&host).as_wire()));
        std::iter::once(owner(&host, Rtype::A, &i.to_be_bytes())).chain(alias)
    });
    let others = [
        owner("lab.test", Rtype::NS, name("ns1.lab.test").as_wire()),
        owner("*.w.lab.test", Rtype::A, &[192, 0, 2, 99]),
    ];
    let mut zones = Zones::new();
    zones.replace(Zone::build(&name("lab.test"), 1, hosts.chain(others)));
    zones
}

fn query(text: &str, rtype: Rtype) -> Vec<u8> {
    let mut query = b"\0\x01\x01\0\0\x01\0\0\0\0\0\0".to_vec();
    query.extend_from_slice(name(text).as_wire());
    query.extend_from_slice(&rtype.0.to_be_bytes());
    query.extend_from_slice(&[0, 1]);
    query
}

fn main() {
    let mut out = [0; 1232];
    println!("{:>8}  {:<10}{:>9}", "names", "outcome", "ns");
    for names in [10_000, 100_000] {
        let zones = zones(names);
        type Make = fn(u32) -> (String, Rtype);
        let kinds: [(&str, Make); 5] = [
            ("hit", |i| (format!("h{i:06}.lab.test"), Rtype::A)),
            ("NODATA", |i| (format!("h{i:06}.lab.test"), Rtype::AAAA)),
            ("NXDOMAIN", |i| (format!("no{i}.lab.test"), Rtype::A)),
            ("wildcard", |i| (format!("x{i}.w.lab.test"), Rtype::A)),
            ("CNAME", |i| (format!("c{:06}.lab.test", i / 20 * 20), Rtype::A)),
        ];
        for (kind, make) in kinds {
            let queries: Vec<Vec<u8>> = (0..50_000_u32)
                .map(|i| make(i.wrapping_mul(2_654_435_761) % names))
                .map(|(text, rtype)| query(&text, rtype))
                .collect();
            let mut best = f64::MAX;
            for _ in 0..7 {
                let start = Instant::now();
                for query in &queries {
                    black_box(respond(&zones, black_box(query), Transport::Udp, &mut out));
                }
                best = best.min(start.elapsed().as_secs_f64());
            }
            println!("{names:>8}  {kind:<10}{:>9.0}", best / queries.len() as f64 * 1e9);
        }
    }
}
