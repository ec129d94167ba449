//! The contact test profile at a terminal nobody here wrote, the EMV kernel of the crate `emv`, with an issuer computed by
//! the same crate's library: from the master keys on, nothing between terminal and card is ours.

mod common;

use common::Phone;
use emv::{
    config::{AidsConfig, CapkConfig, TerminalConfig, assemble_terminal},
    contact::{
        online_processing::{OnlineAuthorisationOutcome, OnlineAuthorisationResponse},
        terminal::Terminal,
        transaction::TransactionInputs,
        transaction_driver::Transaction,
        transaction_flow::{
            HostMediated, PinRequirement, TransactionFlowStep, start, submit_authorisation_response,
            submit_pin,
        },
    },
    core::{
        aes_primitives::{aes_cmac, aes_encrypt_block},
        apdu::{Command, Response},
        application_cryptogram::{application_cryptogram, application_cryptogram_aes},
        card_reader::CardReader,
        generate_ac::GenerateAcResponse,
        issuer_authentication::{arpc_method1, arpc_method1_aes, arpc_method2, arpc_method2_aes},
        master_key_derivation::{derive_master_key_option_a, derive_master_key_option_c},
        oda::CaPublicKey,
        secure_messaging::{
            derive_session_key_aes, derive_session_key_tdes, diversification_for_ac_session_key,
            diversification_for_ac_session_key_aes, diversification_for_sm_session_key,
            diversification_for_sm_session_key_aes, pad_iso9797_method2, retail_mac, tdes_ecb_encrypt,
            tdes_encrypt_block,
        },
        tags,
        tlv::Tlv,
    },
    de::authorisation_response_code::AuthorisationResponseCode,
};
use tapvault::{ContactCard, sim::SimChannel};
use tapvault_device_tests::{
    contact::{NUMBER, begin, provision, test_card, verify},
    lab::Lab,
};
use tapvault_network::{
    contact::{ContactRules, TestCard},
    lab::ContactKey,
    oda::{OdaKind, rsa},
};
use tapvault_proto::{contact::ArpcMethod, profile::Suite};

const TERMINAL: &str = r#"
ifd_serial_number = "TAPVAULT"
terminal_country_code = 156
terminal_type = "22"
terminal_capabilities = "E0B8C8"
additional_terminal_capabilities = "FF80F0A001"
cardholder_selection_and_confirmation_supported = false
"#;
const APPLICATIONS: &str = r#"
[defaults]
terminal_floor_limit = 10000
[[aids]]
aid = "A000000333010101"
application_version_number = "008C"
partial_match_allowed = true
tac_denial = "0000000000"
tac_online = "FCF8FCF8F0"
tac_default = "FCF8FCF8F0"
"#;
const PIN: &str = "123456";
const NEW_PIN: &str = "97531";
/// Terminal verification results of a card that was never online.
const NEW_CARD: [u8; 5] = [0, 0x08, 0, 0, 0];
/// A record with the limits 0 and 1.
const LIMITS: &str = "70089F1401009F230101";

/// The card as the kernel sees it.
struct Slot<'a, 'b> {
    card: &'a mut ContactCard<'b, SimChannel>,
    /// Whether to flip a bit in the signature over dynamic data.
    forge: bool,
}

impl CardReader for Slot<'_, '_> {
    type Error = emv::core::error::Error;

    fn transmit(&mut self, command: &Command) -> Result<Response, Self::Error> {
        let command = command.to_bytes()?;
        let mut response = self.card.transmit(&command).as_bytes().to_vec();
        if self.forge && command[1] == 0x88 {
            response[40] ^= 1;
        }
        Response::parse(&response)
    }
}

/// The issuer by the crate's library.
struct Issuer<'a> {
    test: &'a TestCard,
    atc: [u8; 2],
    ac: [u8; 8],
}

impl Issuer<'_> {
    fn suite(&self) -> Suite {
        self.test.order.kind.suite
    }

    fn master(&self, purpose: ContactKey) -> [u8; 16] {
        let imk = self.test.order.bank.contact_master_key(1, purpose);
        let pan = hex::decode(NUMBER).unwrap();
        match self.suite() {
            Suite::EmvAes => {
                derive_master_key_option_c(imk.expose(), &pan, Some(1)).unwrap().try_into().unwrap()
            }
            _ => derive_master_key_option_a(imk.expose(), &pan, Some(1)).unwrap(),
        }
    }

    /// PBOC's process key, for cryptograms and scripts alike.
    fn process_key(&self, master: &[u8; 16]) -> [u8; 16] {
        let [high, low] = self.atc;
        let block = |a, b| tdes_encrypt_block(master, [0, 0, 0, 0, 0, 0, a, b]);
        [block(high, low), block(!high, !low)].concat().try_into().unwrap()
    }

    fn session(&self) -> [u8; 16] {
        let (master, atc) = (self.master(ContactKey::Cryptogram), u16::from_be_bytes(self.atc));
        match self.suite() {
            Suite::Emv3Des => derive_session_key_tdes(&master, &diversification_for_ac_session_key(atc)),
            Suite::EmvAes => {
                let key = derive_session_key_aes(&master, &diversification_for_ac_session_key_aes(atc));
                key.unwrap().try_into().unwrap()
            }
            _ => self.process_key(&master),
        }
    }

    fn script_session(&self, purpose: ContactKey) -> [u8; 16] {
        let master = self.master(purpose);
        match self.suite() {
            Suite::Emv3Des => derive_session_key_tdes(&master, &diversification_for_sm_session_key(&self.ac)),
            Suite::EmvAes => {
                let key = derive_session_key_aes(&master, &diversification_for_sm_session_key_aes(&self.ac));
                key.unwrap().try_into().unwrap()
            }
            _ => self.process_key(&master),
        }
    }

    fn cryptogram(&self, covered: &[u8]) -> [u8; 8] {
        match self.suite() {
            Suite::EmvAes => application_cryptogram_aes(&self.session(), covered).unwrap(),
            _ => application_cryptogram(&self.session(), covered),
        }
    }

    /// Tag 91, approving.
    fn answer(&self) -> Vec<u8> {
        let (session, csu) = (self.session(), [0x00, 0x80, 0x00, 0x00]);
        match (self.test.rules.arpc, self.suite()) {
            (ArpcMethod::One, Suite::EmvAes) => {
                [&arpc_method1_aes(self.ac, *b"00", &session).unwrap()[..], b"00"].concat()
            }
            (ArpcMethod::One, _) => [&arpc_method1(self.ac, *b"00", &session)[..], b"00"].concat(),
            (ArpcMethod::Two, Suite::EmvAes) => {
                [arpc_method2_aes(self.ac, csu, &[], &session).unwrap(), csu].concat()
            }
            (ArpcMethod::Two, _) => [arpc_method2(self.ac, csu, &[], &session).unwrap(), csu].concat(),
        }
    }

    fn script(&self, header: [u8; 4], data: &[u8]) -> Vec<u8> {
        let lc = u8::try_from(data.len() + 4).unwrap();
        let covered = [&header[..], &[lc], &self.atc, &self.ac, data].concat();
        let key = self.script_session(ContactKey::Mac);
        let mac = match self.suite() {
            Suite::EmvAes => aes_cmac(&key, &covered).unwrap()[..4].to_vec(),
            _ => retail_mac(&key, &covered)[..4].to_vec(),
        };
        [&header[..], &[lc], data, &mac].concat()
    }

    /// PIN CHANGE, from no PIN in particular.
    fn pin_change(&self, pin: &str) -> Vec<u8> {
        let plain = hex::decode(format!("{:02X}{pin:F<14}", pin.len())).unwrap();
        // Bytes of the key as it was derived: the crate sets parity bits, which the cards' issuer does not.
        let y: [u8; 8] = hex::decode(format!("{}01", &NUMBER[2..])).unwrap().try_into().unwrap();
        let imk = self.test.order.bank.contact_master_key(1, ContactKey::Encryption);
        let left = match self.suite() {
            Suite::EmvAes => self.master(ContactKey::Encryption)[..8].to_vec(),
            _ => tdes_encrypt_block(imk.expose(), y).to_vec(),
        };
        let mask = [&[0; 4], &left[4..]].concat();
        let delta: Vec<u8> = plain.iter().zip(mask).map(|(a, b)| a ^ b).collect();
        let block = pad_iso9797_method2(&[&[8], &delta[..]].concat(), 16);
        let key = self.script_session(ContactKey::Encryption);
        let enciphered = match self.suite() {
            Suite::EmvAes => aes_encrypt_block(&key, block.try_into().unwrap()).unwrap().to_vec(),
            _ => tdes_ecb_encrypt(&key, &block).unwrap(),
        };
        self.script([0x84, 0x24, 0x00, 0x02], &enciphered)
    }
}

/// An issuer script template with one command.
fn template(tag: u8, command: &[u8]) -> Tlv {
    let command = [&[0x86, u8::try_from(command.len()).unwrap()], command].concat();
    Tlv::from_bytes(&[&[tag, u8::try_from(command.len()).unwrap()], &command[..]].concat()).unwrap()
}

fn terminal() -> Terminal {
    let (terminal, applications) = (TerminalConfig::parse(TERMINAL), AidsConfig::parse(APPLICATIONS));
    assemble_terminal(&terminal.unwrap(), &applications.unwrap()).unwrap()
}

fn authority() -> Vec<CaPublicKey> {
    let modulus = hex::encode(rsa::Signer::authority().unwrap().modulus());
    let toml = format!(
        "[[capk_rsa]]\nrid = \"A000000333\"\nindex = \"{:02X}\"\nmodulus = \"{modulus}\"\nexponent = \"03\"",
        rsa::AUTHORITY_INDEX
    );
    CapkConfig::parse(&toml).unwrap().into_kernel().unwrap().0
}

fn inputs() -> TransactionInputs {
    TransactionInputs {
        amount_authorised: 5000,
        transaction_currency_code: 156,
        transaction_currency_exponent: 2,
        transaction_date: [0x26, 0x11, 0x24],
        transaction_time: [0x12, 0, 0],
        transaction_type: 0x00,
        transaction_sequence_counter: 1,
        unpredictable_number: [0x2B, 0x29, 0xEB, 0xE4],
        ..TransactionInputs::default()
    }
}

/// Up to the request for the issuer, with the right PIN.
fn go_online(transaction: &mut Transaction<'_, Slot<'_, '_>, HostMediated>, pin: &str) -> GenerateAcResponse {
    let authority = authority();
    let step = start(transaction, &authority, &[], &[], None).unwrap();
    let TransactionFlowStep::CardholderVerification { requirement } = step else { panic!("{step:?}") };
    assert_eq!(requirement, PinRequirement::OfflinePin);
    let digits: Vec<u8> = pin.bytes().map(|digit| digit - b'0').collect();
    let step = submit_pin(transaction, &authority, None, &digits, |_| false).unwrap();
    let TransactionFlowStep::OnlineRequest { first_generate_ac } = step else { panic!("{step:?}") };
    first_generate_ac
}

#[test]
fn a_foreign_terminal_takes_whole_transactions() {
    let terminal = terminal();
    for (suite, arpc) in [
        (Suite::Pboc3Des, ArpcMethod::One),
        (Suite::Emv3Des, ArpcMethod::One),
        (Suite::Emv3Des, ArpcMethod::Two),
        (Suite::EmvAes, ArpcMethod::One),
        (Suite::EmvAes, ArpcMethod::Two),
    ] {
        let (phone, mut lab) = (Phone::new(), Lab::new().unwrap());
        let mut wallet = phone.wallet();
        (lab.kind.suite, lab.kind.oda) = (suite, OdaKind::Rsa1024);
        let mut test = test_card(&lab, ContactRules { arpc, ..ContactRules::default() });
        let id = provision(&lab, &mut wallet, &mut test).unwrap();
        let mut card = wallet.insert_card(id).unwrap();
        let slot = Slot { card: &mut card, forge: false };
        let mut transaction = Transaction::new(slot, &terminal, inputs(), HostMediated);
        let first = go_online(&mut transaction, PIN);
        // Nothing is amiss for the terminal: the card was authenticated, the PIN verified. Only was it never online, which
        // a terminal that reads limits asks for.
        assert_eq!(transaction.ctx.tvr.to_bytes(), NEW_CARD, "{suite:?}");
        assert!(transaction.ctx.tsi.offline_data_authentication_was_performed);
        let issuer = Issuer { test: &test, atc: first.atc, ac: first.ac.unwrap() };
        let iad = first.iad.clone().unwrap();
        let data = hex::decode("000000005000000000000000015600080000000156261124002b29ebe4").unwrap();
        let covered = |iad: &[u8]| [&data[..], &[0x3C, 0x00], &issuer.atc, &iad[3..7]].concat();
        assert_eq!(issuer.cryptogram(&covered(&iad)), issuer.ac);
        assert_eq!(iad[3..7], [0x03, 0xA4, 0x10, 0x02]);

        let answer = OnlineAuthorisationResponse {
            authorisation_response_code: AuthorisationResponseCode::parse(b"00").unwrap(),
            issuer_authentication_data: Some(issuer.answer()),
            issuer_scripts: vec![
                template(0x71, &issuer.script([0x84, 0x24, 0x00, 0x00], &[])),
                template(0x72, &issuer.pin_change(NEW_PIN)),
                // No transaction in a row is to be taken offline; the second time with both limits.
                template(0x72, &issuer.script([0x04, 0xDA, 0x9F, 0x14], &[0])),
                template(0x72, &issuer.script([0x04, 0xDC, 1, 3 << 3 | 4], &hex::decode(LIMITS).unwrap())),
            ],
        };
        let approved = OnlineAuthorisationOutcome::Approved;
        let step = submit_authorisation_response(&mut transaction, &first, &answer, approved).unwrap();
        let TransactionFlowStep::Approved { generate_ac } = step else { panic!("{suite:?}: {step:?}") };
        let iad = generate_ac.iad.clone().unwrap();
        assert_eq!(iad[3..7], [0x03, 0x64, 0x10, 0x12]);
        assert_eq!(generate_ac.ac, Some(issuer.cryptogram(&covered(&iad))));
        assert_eq!(transaction.ctx.tvr.to_bytes(), NEW_CARD, "scripts and issuer authentication");
        assert_eq!(transaction.ctx.issuer_script_results.len(), 4);
        // What the second script did.
        begin(&mut card, &test).unwrap();
        assert_eq!(card.transmit(&verify(PIN)).status(), 0x63C2);
        assert_eq!(card.transmit(&verify(NEW_PIN)).status(), 0x9000);
        // What the others did: the terminal finds both limits exceeded, by the second transaction behind the online one.
        let slot = Slot { card: &mut card, forge: false };
        let mut transaction = Transaction::new(slot, &terminal, inputs(), HostMediated);
        go_online(&mut transaction, NEW_PIN);
        assert_eq!(transaction.ctx.tvr.to_bytes(), [0, 0, 0, 0x60, 0], "{suite:?}");
    }
}

#[test]
fn a_foreign_terminal_refuses_what_is_forged() {
    let terminal = terminal();
    let (phone, lab) = (Phone::new(), Lab::new().unwrap());
    let mut wallet = phone.wallet();
    let mut test = test_card(&lab, ContactRules::default());
    let id = provision(&lab, &mut wallet, &mut test).unwrap();
    let mut card = wallet.insert_card(id).unwrap();
    let mut transaction =
        Transaction::new(Slot { card: &mut card, forge: true }, &terminal, inputs(), HostMediated);
    let first = go_online(&mut transaction, PIN);
    assert!(transaction.ctx.tvr.dda_failed);
    // An answer that is not the issuer's: the card says so, the terminal notes it, and nothing is approved.
    let answer = OnlineAuthorisationResponse {
        authorisation_response_code: AuthorisationResponseCode::parse(b"00").unwrap(),
        issuer_authentication_data: Some(vec![0x5A; 10]),
        issuer_scripts: Vec::new(),
    };
    let approved = OnlineAuthorisationOutcome::Approved;
    let step = submit_authorisation_response(&mut transaction, &first, &answer, approved).unwrap();
    assert!(matches!(step, TransactionFlowStep::Declined { .. }), "{step:?}");
    assert!(transaction.ctx.tvr.issuer_authentication_failed);
    assert!(transaction.ctx.tag_store.get(tags::CDOL2).is_some());
}
