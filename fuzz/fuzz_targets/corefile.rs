//! Any octets read as a Corefile without a panic and within bounds; what is wrong has a file and a
//! line that the file has; what is right says the same when it is read again.
#![no_main]

use std::cell::Cell;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use pocketdns::config::corefile::{Block, CorefileError, Directive, Outside, Source, parse};
use pocketdns::config::file::read;
use pocketdns::config::settle;
use pocketdns::limits::{
    COREFILE_IMPORTS_MAX, COREFILE_TOKENS_MAX, COREFILE_WORD_BYTES_MAX, DNS_ADDRESSES_MAX,
};

/// An import is the part of the file after its name, a variable has its name as its value.
fn blocks(data: &[u8], imports: &Cell<usize>) -> Result<Vec<Block>, CorefileError> {
    let mut import = |what: &str, importer: &str| {
        imports.set(imports.get() + 1);
        assert!(importer == "Corefile" || importer.starts_with("import-"));
        let at = data.windows(what.len().max(1)).position(|window| window == what.as_bytes());
        let tail = at.and_then(|at| data.get(at + what.len()..)).ok_or("not there")?;
        let name = Arc::from(format!("import-{}", data.len() - tail.len()));
        Ok(vec![Source { name, text: tail.to_vec() }])
    };
    let variable = |name: &str| (!name.starts_with('-')).then(|| name.to_owned());
    let source = Source { name: Arc::from("Corefile"), text: data.to_vec() };
    parse(source, Outside { variable: &variable, import: &mut import })
}

fn words(directives: &[Directive]) -> usize {
    directives
        .iter()
        .map(|directive| {
            assert!(directive.name.text.len() <= COREFILE_WORD_BYTES_MAX);
            1 + directive.args.len() + words(directive.body.as_deref().unwrap_or(&[]))
        })
        .sum()
}

fuzz_target!(|data: &[u8]| {
    let imports = Cell::new(0);
    let lines = 1 + data.iter().filter(|&&octet| octet == b'\n').count();
    let check = |error: &CorefileError| {
        assert!(!error.message.is_empty());
        assert!((1..=lines).contains(&(error.place.line as usize)), "{error}");
    };
    let blocks = match blocks(data, &imports) {
        Ok(found) => {
            assert_eq!(blocks(data, &Cell::new(0)).as_ref(), Ok(&found));
            found
        }
        Err(error) => return check(&error),
    };
    assert!(imports.get() <= COREFILE_IMPORTS_MAX + 1);
    let total: usize = blocks.iter().map(|block| block.keys.len() + words(&block.directives)).sum();
    assert!(!blocks.is_empty() && total <= COREFILE_TOKENS_MAX);
    assert!(blocks.iter().all(|block| !block.keys.is_empty()));
    let interface = |name: &str| match name {
        "lo" => vec!["127.0.0.1:0".parse().expect("an address")],
        _ => Vec::new(),
    };
    match read(&blocks, &interface) {
        Ok(corefile) => {
            assert!((1..=DNS_ADDRESSES_MAX).contains(&corefile.dns.len()));
            assert!(corefile.dns.iter().all(|listen| !listen.parts.is_empty()));
            let (serve, _) = settle::serve(&Default::default(), &|_| None, Some(&corefile));
            assert_eq!(serve.dns, corefile.dns);
        }
        Err(error) => check(&error),
    }
});
