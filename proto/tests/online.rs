//! Payment requests: what is read is what was written, and nothing else is read.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panic")]

use tapvault_proto::{
    Error,
    approval::Approval,
    id::CardId,
    online::{MAX_PAYMENT_REQUEST, Order, PayeeCertificate, PaymentRequest, Role},
    token::Channel,
    wire::Bytes,
};

fn bytes<const N: usize>(text: &str) -> Bytes<N> {
    Bytes::from_slice(text.as_bytes()).unwrap()
}

fn request(role: Role) -> PaymentRequest {
    let (id, name) = match role {
        Role::Merchant => ("898110048990001", "Tea Shop"),
        Role::Wallet => ("62999900001", "Lab Wallet"),
    };
    PaymentRequest {
        certificate: PayeeCertificate {
            role,
            id: bytes(id),
            name: bytes(name),
            key: [0x04; 65],
            recipient: [0x05; 65],
            signature: [0x06; 64],
        },
        order: Order {
            merchant: bytes("898110048990001"),
            name: bytes("Tea Shop"),
            number: bytes("2026-11-26/1"),
            amount: 12_345,
            currency: 0x0156,
            expires: 1_796_000_900,
        },
        signature: [0x07; 64],
    }
}

fn text(request: &PaymentRequest) -> String {
    String::from_utf8(request.to_json().unwrap().to_vec()).unwrap()
}

#[test]
fn a_request_goes_through_json_and_the_longest_fits() {
    for role in [Role::Merchant, Role::Wallet] {
        let request = request(role);
        assert_eq!(PaymentRequest::parse(text(&request).as_bytes()).unwrap(), request);
    }
    let mut longest = request(Role::Merchant);
    longest.certificate.name = bytes(&"n".repeat(32));
    longest.order.name = longest.certificate.name.clone();
    longest.order.number = bytes(&"9".repeat(32));
    (longest.order.amount, longest.order.expires) = (999_999_999_999, u64::MAX);
    let json = text(&longest);
    assert!(json.len() < MAX_PAYMENT_REQUEST - 100, "{}", json.len());
    assert_eq!(PaymentRequest::parse(json.as_bytes()).unwrap(), longest);
}

#[test]
fn what_breaks_a_rule_is_malformed() {
    let good = text(&request(Role::Merchant));
    assert!(PaymentRequest::parse(good.as_bytes()).is_ok());
    for (from, to) in [
        ("\"format\":1", "\"format\":2"),
        ("\"role\":\"merchant\"", "\"role\":\"Merchant\""),
        // A merchant signs for itself, under the name that is certified.
        ("\"merchant\":\"898110048990001\"", "\"merchant\":\"898110048990002\""),
        ("\"name\":\"Tea Shop\"", "\"name\":\"Tea Shop 2\""),
        ("\"signer_name\":\"Tea Shop\"", "\"signer_name\":\"\""),
        ("\"order\":\"2026-11-26/1\"", "\"order\":\"\""),
        ("\"order\":\"2026-11-26/1\"", "\"order\":\"2026 11 26\""),
        ("\"order\":\"2026-11-26/1\"", "\"order\":\"2026\\n11\""),
        ("\"order\":\"2026-11-26/1\"", "\"order\":\"2026\u{e9}\""),
        ("\"order\":\"2026-11-26/1\"", "\"order\":\"123456789012345678901234567890123\""),
        ("\"amount\":12345", "\"amount\":0"),
        ("\"amount\":12345", "\"amount\":-1"),
        ("\"amount\":12345", "\"amount\":1000000000000"),
        ("\"amount\":12345", "\"amount\":18446744073709551616"),
        ("\"amount\":12345", "\"amount\":\"12345\""),
        ("\"amount\":12345", "\"amount\":1,\"amount\":12345"),
        ("\"currency\":\"0156\"", "\"currency\":\"156\""),
        ("\"currency\":\"0156\"", "\"currency\":\"01a6\""),
        ("\"expires\":1796000900", "\"expires\":-1"),
        ("\"expires\":1796000900,", ""),
        ("\"format\":1", "\"format\":1,\"more\":1"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from} is not there");
        assert_eq!(PaymentRequest::parse(bad.as_bytes()), Err(Error::RequestMalformed), "{to}");
    }
    for len in 0..good.len() {
        let cut = good.as_bytes().get(..len).unwrap();
        assert_eq!(PaymentRequest::parse(cut), Err(Error::RequestMalformed), "cut at {len}");
    }
    let wallet = text(&request(Role::Wallet));
    for id in ["6299990000", "629999000011", "6299990000x"] {
        let bad = wallet.replace("62999900001", id);
        assert_eq!(PaymentRequest::parse(bad.as_bytes()), Err(Error::RequestMalformed), "{id}");
    }
}

/// Every field is under the signature: two requests that differ anywhere differ in what is signed.
#[test]
fn what_is_signed_names_every_field() {
    let good = request(Role::Wallet);
    let changes: [fn(&mut PaymentRequest); 10] = [
        |other| other.certificate.role = Role::Merchant,
        |other| other.certificate.id = bytes("62999900002"),
        |other| other.certificate.name = bytes("Lab Walle"),
        |other| other.certificate.recipient = [0x08; 65],
        |other| other.order.merchant = bytes("89811004899000"),
        |other| other.order.name = bytes("Tea Sho"),
        |other| other.order.number = bytes("p2026-11-26/1"),
        |other| other.order.amount += 1,
        |other| other.order.currency = 0x0840,
        |other| other.order.expires += 1,
    ];
    for (at, change) in changes.iter().enumerate() {
        let mut other = good.clone();
        change(&mut other);
        assert_ne!(other.signed_bytes().unwrap(), good.signed_bytes().unwrap(), "change {at}");
    }
    let certified = |request: &PaymentRequest| request.certificate.signed_bytes().unwrap();
    assert_ne!(certified(&good), good.signed_bytes().unwrap(), "a certificate is no request");
}

#[test]
fn an_approval_says_what_can_be_known() {
    let card = CardId([1; 16]);
    assert!(Approval::code(card).check());
    let order = Approval {
        card,
        channel: Channel::InApp,
        amount: 1,
        currency: 0x0156,
        payee: bytes("Tea Shop"),
        digest: [9; 32],
    };
    assert!(order.check());
    assert!(Approval { channel: Channel::Wallet, ..order.clone() }.check());
    for bad in [
        Approval { channel: Channel::Nfc, ..order.clone() },
        Approval { channel: Channel::Qr, ..order.clone() },
        Approval { amount: 0, ..order.clone() },
        Approval { payee: Bytes::new(), ..order.clone() },
        Approval { payee: bytes("Tea\nShop"), ..order.clone() },
        Approval { amount: 1, ..Approval::code(card) },
        Approval { digest: [1; 32], ..Approval::code(card) },
    ] {
        assert!(!bad.check(), "{bad:?}");
    }
}
