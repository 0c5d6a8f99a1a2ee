//! Link settings of the binary; nothing is generated.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let target = |key: &str| std::env::var(format!("CARGO_CFG_TARGET_{key}")).unwrap_or_default();
    // A position-independent binary has some 26,000 relative relocations: 600 KB that are read once
    // at start and stay resident. Packed they are 10 KB (glibc 2.36, binutils 2.38).
    if target("ENV") == "gnu" && target("ARCH") == "x86_64" {
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
