//! What we ask of the operating system for the whole process: limits, identity, the allocator,
//! names and addresses of the host.
//!
//! One of the two files that may use `unsafe` (`dns/mmsg.rs` is the other): for the calls that
//! `rustix` does not have.
#![expect(unsafe_code, reason = "allocator, mapped code, environment, interfaces")]

use std::ffi::CStr;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::path::Path;
use std::ptr;

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, setrlimit};

use crate::limits::{BLOCKING_THREADS_MAX, MALLOC_ARENAS_MAX, MALLOC_THRESHOLD_BYTES};

/// Settles what must be settled while the process has one thread: the allocator's shape, the size
/// of the pool for blocking work, no core dumps. The first call of `main`.
pub fn prepare_process() {
    tune_allocator();
    // SAFETY: the process has no second thread yet (see above) that could read the environment.
    unsafe { std::env::set_var("BLOCKING_MAX_THREADS", BLOCKING_THREADS_MAX.to_string()) };
    // Keys and records lie in memory: no core file, and no other process of ours may look in.
    // Where this is not granted the rest is still worth running.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// Few arenas and fixed thresholds: by default glibc keeps an arena for each thread, and gives the
/// less back the more it once had.
#[cfg(target_env = "gnu")]
fn tune_allocator() {
    // SAFETY: takes numbers, returns a number, and no other thread allocates yet.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, MALLOC_ARENAS_MAX);
        libc::mallopt(libc::M_MMAP_THRESHOLD, MALLOC_THRESHOLD_BYTES);
        libc::mallopt(libc::M_TRIM_THRESHOLD, MALLOC_THRESHOLD_BYTES);
    }
}

#[cfg(not(target_env = "gnu"))]
fn tune_allocator() {}

/// Gives freed memory back to the system: after the start, when the rows have become zones.
pub fn trim_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: walks the allocator's own structures under its own locks.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Lets go of the pages of code and constants that were touched so far: at the end of a start they
/// are mostly what only the start needed, some four megabytes of it. What is wanted again is mapped
/// again from the file.
pub fn forget_code_pages() {
    unsafe extern "C" fn forget(
        object: *mut libc::dl_phdr_info,
        _bytes: libc::size_t,
        page_bytes: *mut libc::c_void,
    ) -> libc::c_int {
        let page_bytes = page_bytes as usize;
        // SAFETY: the loader's description of an object, valid for this call. A segment without
        // PF_W is a mapping of the file that nothing ever writes to, relocations included, so its
        // pages hold what the file holds, before and after. Errors change nothing.
        unsafe {
            let object = &*object;
            for index in 0..usize::from(object.dlpi_phnum) {
                let segment = &*object.dlpi_phdr.add(index);
                if segment.p_type != libc::PT_LOAD || segment.p_flags & libc::PF_W != 0 {
                    continue;
                }
                let start = object.dlpi_addr as usize + segment.p_vaddr as usize;
                let first = start & !(page_bytes - 1);
                let bytes = segment.p_memsz as usize + (start - first);
                libc::madvise(ptr::without_provenance_mut(first), bytes, libc::MADV_DONTNEED);
            }
        }
        0
    }
    let page_bytes = rustix::param::page_size();
    // SAFETY: `forget` keeps nothing, and its data is a number.
    unsafe { libc::dl_iterate_phdr(Some(forget), ptr::without_provenance_mut(page_bytes)) };
}

/// Raises the limit on open files as far as it goes; returns it.
#[must_use]
pub fn raise_open_files() -> usize {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let reached = getrlimit(Resource::Nofile).current;
    reached.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

/// The owner of a directory: user and group of it, or of what it would be made in.
fn owner_of(dir: &Path) -> io::Result<std::fs::Metadata> {
    let dir = std::path::absolute(dir)?;
    dir.ancestors()
        .map(std::fs::metadata)
        .find(|found| !matches!(found, Err(error) if error.kind() == io::ErrorKind::NotFound))
        .unwrap_or_else(|| Err(io::ErrorKind::NotFound.into()))
}

/// When root runs this on a directory of somebody else, or on one that is yet to be made in
/// somebody else's: becomes that somebody, so that no file there ends up being root's. Only while
/// the process has one thread.
///
/// # Errors
/// The owner cannot be read, or the identity not be taken.
pub fn become_owner_of(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let found = owner_of(dir)?;
    if !rustix::process::geteuid().is_root() || found.uid() == 0 {
        return Ok(());
    }
    let (uid, gid) =
        (rustix::fs::Uid::from_raw(found.uid()), rustix::fs::Gid::from_raw(found.gid()));
    // Each is of one thread only, and threads made later inherit it: right, because there is one.
    rustix::thread::set_thread_groups(&[gid])?;
    rustix::thread::set_thread_gid(gid)?;
    rustix::thread::set_thread_uid(uid)?;
    Ok(())
}

/// The name of this host, as its kernel knows it: any text, perhaps none.
#[must_use]
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The addresses of the interfaces that are up, loopback and link-local ones left out: what other
/// hosts can reach us by. Sorted, without duplicates; empty without a network.
#[must_use]
pub fn host_addresses() -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    each_interface_address(|_, address| {
        let address = address.ip();
        let is_link_local = match address {
            IpAddr::V4(v4) => v4.is_link_local(),
            IpAddr::V6(v6) => v6.is_unicast_link_local(),
        };
        if !address.is_loopback() && !is_link_local && !address.is_unspecified() {
            addresses.push(address);
        }
    });
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

/// The addresses of the interface of this name, if it is up, with port 0; link-local ones know their
/// interface.
#[must_use]
pub fn interface_addresses(name: &str) -> Vec<SocketAddr> {
    let mut addresses = Vec::new();
    each_interface_address(|interface, address| {
        if interface == name.as_bytes() && !addresses.contains(&address) {
            addresses.push(address);
        }
    });
    addresses
}

/// Tells the name and the address, port 0, for each address of the interfaces that are up.
fn each_interface_address(mut tell: impl FnMut(&[u8], SocketAddr)) {
    let mut list: *mut libc::ifaddrs = ptr::null_mut();
    // SAFETY: `list` is where the call puts its list. On success each entry of it, and what its
    // pointers point to, is valid until `freeifaddrs`, which is called once, after the last use.
    // An address is read as the structure that its family says, and copied; a name ends in NUL.
    unsafe {
        if libc::getifaddrs(&raw mut list) != 0 {
            return;
        }
        let mut entry = list;
        while !entry.is_null() {
            let interface = &*entry;
            entry = interface.ifa_next;
            let is_up = interface.ifa_flags & libc::IFF_UP as libc::c_uint != 0;
            if !is_up || interface.ifa_addr.is_null() || interface.ifa_name.is_null() {
                continue;
            }
            let address = match libc::c_int::from((*interface.ifa_addr).sa_family) {
                libc::AF_INET => {
                    let v4 = ptr::read_unaligned(interface.ifa_addr.cast::<libc::sockaddr_in>());
                    SocketAddr::from((Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr)), 0))
                }
                libc::AF_INET6 => {
                    let v6 = ptr::read_unaligned(interface.ifa_addr.cast::<libc::sockaddr_in6>());
                    let address = Ipv6Addr::from(v6.sin6_addr.s6_addr);
                    SocketAddrV6::new(address, 0, 0, v6.sin6_scope_id).into()
                }
                _ => continue,
            };
            tell(CStr::from_ptr(interface.ifa_name).to_bytes(), address);
        }
        libc::freeifaddrs(list);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_host_has_a_name_and_no_loopback_address_among_its_own() {
        assert!(!super::host_name().is_empty());
        let addresses = super::host_addresses();
        assert!(addresses.iter().all(|address| !address.is_loopback()), "{addresses:?}");
        assert!(addresses.is_sorted());
    }

    #[test]
    fn the_loopback_interface_has_its_address() {
        let addresses = super::interface_addresses("lo");
        assert!(addresses.contains(&([127, 0, 0, 1], 0).into()), "{addresses:?}");
        assert!(super::interface_addresses("no such interface").is_empty());
    }

    #[test]
    fn a_directory_to_be_made_belongs_to_the_owner_of_where() {
        use std::os::unix::fs::MetadataExt;
        let root = std::env::temp_dir();
        let made = root.join(format!("pocketdns-sys-{}", std::process::id()));
        std::fs::create_dir(&made).unwrap();
        let (wanted, inode) = (made.join("a/b"), |dir: &_| super::owner_of(dir).unwrap().ino());
        assert_eq!(inode(&wanted), std::fs::metadata(&made).unwrap().ino());
        assert_eq!(inode(&made), inode(&wanted));
        std::fs::remove_dir(&made).unwrap();
        assert_eq!(inode(&wanted), std::fs::metadata(&root).unwrap().ino());
    }

    #[test]
    fn open_files_are_as_many_as_allowed() {
        let reached = super::raise_open_files();
        let allowed = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
        assert_eq!(reached, allowed.map_or(usize::MAX, |limit| limit as usize));
    }
}
