//! The memory of the program, as the kernel sees it.

use super::*;

/// Size of the mapping that the memory of a hash has, in KiB: as much is reserved, whatever a hash needs.
const RESERVED_KIB: u64 = 33 * 1024;

/// Memory of a hash with the default parameters, in KiB.
const HASH_KIB: u64 = 19 * 1024;

/// The resident memory of the mappings of that size, in KiB.
fn hash_memory(server: &ServerProgram) -> Vec<u64> {
    let maps = fs::read_to_string(format!("/proc/{}/smaps", server.child.id())).unwrap();
    let kib = |line: &str, name: &str| -> Option<u64> {
        line.strip_prefix(name).map(|rest| rest.trim().strip_suffix(" kB").unwrap().parse().unwrap())
    };
    let sizes = maps.lines().filter_map(|line| kib(line, "Size:"));
    let resident = maps.lines().filter_map(|line| kib(line, "Rss:"));
    // The kernel may show several that are beside each other as one.
    let has_size = |(size, _): &(u64, u64)| *size >= RESERVED_KIB && *size % RESERVED_KIB < 256;
    sizes.zip(resident).filter(has_size).map(|(_, resident)| resident).collect()
}

#[test]
fn the_memory_of_a_hash_is_a_mapping_of_its_own_and_goes_back_to_the_system() {
    let folder = folder();
    let mut command = authy(folder.path(), &["--listen", "127.0.0.1:0"]);
    let server = ServerProgram::with(command.env("AUTHY_ARGON2", "m=19456,t=2,p=1").env("AUTHY_LIMIT_LOGIN", "off"));
    let login = format!("{}/authy/login", server.url());
    let body = r#"{"username":"nobody","password":"a-wrong-password"}"#;
    until("a hash has a mapping", || {
        // As much work as a login of somebody.
        server.curl(&["-H", "content-type: application/json", "-d", body, &login]);
        hash_memory(&server).iter().any(|resident| *resident >= HASH_KIB).then_some(())
    });
    until("it is gone", || hash_memory(&server).is_empty().then_some(()));
}
