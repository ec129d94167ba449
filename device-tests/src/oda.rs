//! What a terminal reads of a card that offers offline data authentication.

use crate::{
    Outcome, ensure,
    lab::{Field, Lab, say},
};
use tapvault::{Channel, Tap};
use tapvault_network::frame::CardLink;
use tapvault_proto::{
    emv::{
        apdu::{Command, Response},
        gpo::{PDOL_DATA_LEN, PdolData},
        tlv::find,
    },
    profile::Product,
};

/// Terminal transaction qualifiers: qPBOC, online, wants offline data authentication, fDDA version 01.
pub const WANTS_ODA: [u8; 4] = [0x21, 0x80, 0x00, 0x80];

/// Everything that a terminal needs to authenticate a card.
#[derive(Clone, Debug)]
pub struct Read {
    /// The answer to GET PROCESSING OPTIONS, without its template.
    pub answer: Vec<u8>,
    /// Every record that the locator names, without its template, and whether the issuer signed it.
    pub records: Vec<(Vec<u8>, bool)>,
    /// What the terminal sent.
    pub terminal: PdolData,
}

impl Read {
    /// Taps: SELECT, GET PROCESSING OPTIONS with these qualifiers, READ RECORD by the locator.
    ///
    /// # Errors
    /// Any refusal.
    pub fn tap<C: Channel>(tap: &mut Tap<'_, C>, ttq: [u8; 4], unpredictable: [u8; 4]) -> Outcome<Self> {
        Self::of(&mut Field(tap), ttq, unpredictable)
    }

    /// As [`Self::tap`], of any card.
    ///
    /// # Errors
    /// Any refusal.
    pub fn of(card: &mut impl CardLink, ttq: [u8; 4], unpredictable: [u8; 4]) -> Outcome<Self> {
        let mut data = [0; PDOL_DATA_LEN];
        data[..4].copy_from_slice(&ttq);
        data[7..10].copy_from_slice(&[0x01, 0x23, 0x45]);
        data[23..25].copy_from_slice(&[0x01, 0x56]);
        data[29..].copy_from_slice(&unpredictable);
        let mut ask = |cla, ins, p1, p2, data: &[u8]| {
            let response = card.transmit(&Command { cla, ins, p1, p2, data }.to_bytes()).map_err(say)?;
            let response = Response::from_bytes(&response).ok_or("no status word")?;
            let status = response.status();
            ensure(status == 0x9000, || format!("{ins:02X} {p1:02X} {p2:02X}: {status:04X}"))?;
            Ok::<_, String>(response.data().to_vec())
        };
        ask(0x00, 0xA4, 4, 0, &Product::Debit.aid())?;
        let options = [&[0x83, PDOL_DATA_LEN as u8], &data[..]].concat();
        let answer = find(&ask(0x80, 0xA8, 0, 0, &options)?, 0x77).ok_or("no template 77")?.to_vec();
        let mut records = Vec::new();
        for entry in find(&answer, 0x94).unwrap_or_default().chunks(4) {
            let [sfi, first, last, signed] = entry else { return Err("a locator's length".into()) };
            for (number, count) in (*first..=*last).zip(1..) {
                let record = ask(0x00, 0xB2, number, sfi | 4, &[])?;
                records.push((find(&record, 0x70).ok_or("no template 70")?.to_vec(), count <= *signed));
            }
        }
        Ok(Self { answer, records, terminal: PdolData::from_bytes(&data) })
    }

    /// A data object of the answer or a record; EMV Book 3, 10.2 wants it once.
    ///
    /// # Errors
    /// When it is there twice or not at all.
    pub fn get(&self, tag: u16) -> Outcome<&[u8]> {
        let records = self.records.iter().map(|(record, _)| record);
        let mut found = [&self.answer].into_iter().chain(records).filter_map(|data| find(data, tag));
        let value = found.next().ok_or_else(|| format!("no {tag:04X}"))?;
        ensure(found.next().is_none(), || format!("{tag:04X} twice")).map(|()| value)
    }

    /// The static data under the issuer's signature (EMV Book 3, 10.3): signed records, and the interchange profile
    /// where tag 9F4A says so.
    ///
    /// # Errors
    /// When a data object is missing.
    pub fn static_data(&self) -> Outcome<Vec<u8>> {
        let mut data: Vec<u8> = self
            .records
            .iter()
            .filter(|(_, signed)| *signed)
            .flat_map(|(record, _)| record.clone())
            .collect();
        if self.get(0x9F4A)? == [0x82] {
            data.extend(self.get(0x82)?);
        }
        Ok(data)
    }

    /// What is signed beside the counter, version 01: 9F37, 9F02, 5F2A, 9F69.
    ///
    /// # Errors
    /// Without 9F69.
    pub fn terminal_data(&self) -> Outcome<Vec<u8>> {
        let PdolData { unpredictable, amount, currency, .. } = &self.terminal;
        Ok([&unpredictable[..], amount, currency, self.get(0x9F69)?].concat())
    }
}

/// The number in track 2, two digits in a byte, padded with F.
///
/// # Errors
/// When there is no card.
pub fn packed_token(lab: &Lab) -> Outcome<Vec<u8>> {
    let token = &lab.issuer.cards().last().ok_or("no card")?.token;
    hex::decode(if token.len() % 2 == 0 { token.clone() } else { format!("{token}f") }).map_err(say)
}
