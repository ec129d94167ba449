//! Whatever a provider signs is refused or within the limits; and only what is signed is looked at.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use tapvault_fuzz::Provider;
use tapvault_proto::{
    Error,
    id::{TrustletName, login},
    service::Service,
};
use teei_hypervisor::manifest::{MAX_DEPTH, MAX_MODULE, MAX_PAGES, Manifest, STACK};

static PROVIDER: LazyLock<Provider> = LazyLock::new(Provider::new);

fn is_named(name: &TrustletName) -> bool {
    TrustletName::new(name.as_bytes()).as_ref() == Ok(name)
}

/// What everything after the parse relies on.
fn check(manifest: &Manifest) {
    let Manifest { name, version, size, limits, services, peers, clients, .. } = manifest;
    assert!(is_named(name) && *version > 0);
    assert!((1..=MAX_MODULE).contains(size));
    assert!((1..=MAX_PAGES).contains(&limits.pages));
    assert!(STACK.contains(&limits.stack));
    assert!((1..=MAX_DEPTH).contains(&limits.depth) && limits.fuel > 0);
    let every = Service::FOR_TRUSTLETS.iter().fold(0, |bits, service| bits | service.bit());
    assert_eq!(services & !every, 0, "a service that is none for trustlets");
    assert!(peers.iter().all(|peer| is_named(&peer.name)));
    assert!(clients.iter().all(|client| matches!(client.login, login::USER | login::GROUP)));
}

fuzz_target!(|document: &[u8]| {
    let (signer, signature) = (&PROVIDER.signer, PROVIDER.sign(document));
    // One reading where one says enough: most of the time goes into signatures.
    let is_command = document.windows(9).any(|text| text == b"\"command\"");
    let read = if is_command {
        signer.command(document, &signature).map(|command| assert!(is_named(&command.name)))
    } else {
        signer.manifest(document, &signature).map(|manifest| check(&manifest))
    };
    if let Err(error) = read {
        assert!(matches!(error, Error::ManifestMalformed | Error::ManifestSignature), "{error:?}");
        return;
    }
    let other = if is_command {
        signer.manifest(document, &signature).map(|_| ())
    } else {
        signer.command(document, &signature).map(|_| ())
    };
    assert_eq!(other, Err(Error::ManifestMalformed), "one document is both");
    let mut altered = signature;
    altered[40] ^= 1;
    assert_eq!(signer.manifest(document, &altered), Err(Error::ManifestSignature));
    assert_eq!(signer.command(document, &altered), Err(Error::ManifestSignature));
});
