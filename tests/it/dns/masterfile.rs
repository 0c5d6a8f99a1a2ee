//! Master files as BIND, Knot and NSD write them: what Knot makes of them is what we make of them.

use crate::harness::client::{Tcp, Udp};
use crate::harness::message::{AXFR, Message, Record, SOA, query};
use crate::harness::peers;
use crate::harness::server::Home;

#[test]
fn a_master_file_means_to_us_what_it_means_to_knot() {
    let home = Home::new("masterfile");
    let path = home.dir.write("forms.zone", include_str!("../../data/forms.zone"));
    let import = ["zone", "import", "--origin", "forms.test.", path.to_str().expect("text")];
    home.cli(&import).expect_ok("zone import");
    let server = home.serve();
    let knot = peers::knot(&home.dir, &[("forms.test.".to_owned(), path)]);
    let records = transfer(&mut Tcp::connect(knot.address), "forms.test.");
    assert!(records.len() > 30, "{} records in Knot's copy", records.len());
    let udp = Udp::connect(server.dns());
    let mut tcp = Tcp::connect(server.dns());
    for record in &records {
        let mut asked = query("forms.test.", record.rtype).with_size(1232);
        asked.name.clone_from(&record.owner);
        let mut reply = udp.ask(&asked);
        if reply.is_truncated() {
            reply = tcp.ask(&asked);
        }
        // Glue and zone cuts come in other sections.
        let mut everywhere = reply.answer.iter().chain(&reply.authority).chain(&reply.additional);
        let is_there =
            everywhere.any(|ours| ours.folded() == without_serial(record, ours).folded());
        assert!(is_there, "{} is not in {}", record.text(), reply.show());
    }
}

#[test]
fn an_export_means_to_knot_what_the_file_meant() {
    let home = Home::new("export");
    let path = home.dir.write("forms.zone", include_str!("../../data/forms.zone"));
    let apex = "forms.test.".to_owned();
    let import = ["zone", "import", "--origin", &apex, path.to_str().expect("text")];
    home.cli(&import).expect_ok("zone import");
    let exported = home.cli(&["zone", "export", &apex]).expect_ok("zone export");
    let exported = home.dir.write("exported.zone", exported);
    let [before, after] = [path, exported].map(|path| {
        let knot = peers::knot(&home.dir, &[(apex.clone(), path)]);
        let mut records: Vec<Record> = transfer(&mut Tcp::connect(knot.address), &apex);
        records.sort();
        records
    });
    let missing = before.iter().filter(|record| !after.contains(record)).map(Record::text);
    assert_eq!(missing.collect::<Vec<_>>(), [""; 0], "lost by import and export");
    let added = after.iter().filter(|record| !before.contains(record)).map(Record::text);
    assert_eq!(added.collect::<Vec<_>>(), [""; 0], "added by import and export");
}

/// Every record of a zone by AXFR, the SOA once.
fn transfer(tcp: &mut Tcp, apex: &str) -> Vec<Record> {
    tcp.send(&query(apex, AXFR).to_wire());
    let mut records: Vec<Record> = Vec::new();
    while records.iter().filter(|record| record.rtype == SOA).count() < 2 {
        let wire = tcp.receive().expect("the transfer goes on");
        let message = Message::parse(&wire).expect("well formed");
        assert_eq!(message.rcode(), 0, "the transfer of {apex}");
        records.extend(message.answer);
    }
    records.pop();
    records
}

/// Knot's record with our serial in it: that is the zone's own.
fn without_serial(record: &Record, ours: &Record) -> Record {
    let mut record = record.clone();
    if record.rtype == SOA && ours.rtype == SOA && record.rdata.len() == ours.rdata.len() {
        let at = record.rdata.len() - 20;
        record.rdata[at..at + 4].copy_from_slice(&ours.rdata[at..at + 4]);
    }
    record
}
