//! The vpcd wire, over real sockets and over bytes.

use std::{
    io::{self, Cursor},
    net::{TcpListener, TcpStream},
    thread,
};
use tapvault_network::frame::{CardLink, Control, FromReader, MAX_FRAME, TcpCard, read_frame, write_frame};

#[test]
fn frames_go_there_and_back() {
    let mut wire = Vec::new();
    write_frame(&mut wire, &[Control::GetAtr.byte()]).unwrap();
    write_frame(&mut wire, &[0x00, 0xA4]).unwrap();
    assert_eq!(wire, [0x00, 0x01, 0x04, 0x00, 0x02, 0x00, 0xA4]);
    let mut wire = Cursor::new(wire);
    assert_eq!(read_frame(&mut wire).unwrap().unwrap(), [0x04]);
    assert_eq!(read_frame(&mut wire).unwrap().unwrap(), [0x00, 0xA4]);
    assert_eq!(read_frame(&mut wire).unwrap(), None);
}

#[test]
fn long_and_torn_frames_are_refused() {
    let kind = |bytes: &[u8]| read_frame(&mut Cursor::new(bytes)).map_err(|error| error.kind());
    assert_eq!(kind(&[0x02, 0x01]), Err(io::ErrorKind::InvalidData));
    assert_eq!(kind(&[0xFF, 0xFF, 1]), Err(io::ErrorKind::InvalidData));
    assert_eq!(kind(&[0x00]), Err(io::ErrorKind::UnexpectedEof));
    assert_eq!(kind(&[0x00, 0x02, 0x90]), Err(io::ErrorKind::UnexpectedEof));
    assert_eq!(kind(&[0x00, 0x00]), Ok(Some(vec![])));
    let mut wire = Vec::new();
    assert!(write_frame(&mut wire, &[0; MAX_FRAME]).is_ok());
    wire.clear();
    for length in [MAX_FRAME + 1, 65_536] {
        assert!(write_frame(&mut wire, &vec![0; length]).is_err());
        assert!(wire.is_empty());
    }
}

#[test]
fn one_byte_is_a_control_and_more_a_command() {
    for byte in 0..=u8::MAX {
        let control = match byte {
            0 => Some(Control::PowerOff),
            1 => Some(Control::PowerOn),
            2 => Some(Control::Reset),
            4 => Some(Control::GetAtr),
            _ => None,
        };
        assert_eq!(Control::from_byte(byte), control);
        assert_eq!(FromReader::parse(&[byte]), control.map(FromReader::Control));
    }
    assert_eq!(FromReader::parse(&[]), None);
    assert_eq!(FromReader::parse(&[4, 4]), Some(FromReader::Command(&[4, 4])));
}

#[test]
fn the_reader_powers_asks_and_leaves() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let card = thread::spawn(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        let mut seen = Vec::new();
        while let Some(frame) = read_frame(&mut stream).unwrap() {
            match frame.as_slice() {
                [0x04] => write_frame(&mut stream, &[0x3B, 0x80]).unwrap(),
                [_] => {}
                _ => write_frame(&mut stream, &[0x90, 0x00]).unwrap(),
            }
            seen.push(frame);
        }
        seen
    });
    let mut link = TcpCard::new(listener.accept().unwrap().0).unwrap();
    assert_eq!(link.power_on().unwrap(), [0x3B, 0x80]);
    assert_eq!(link.transmit(&[0x00, 0xA4, 0x04, 0x00]).unwrap(), [0x90, 0x00]);
    assert!(link.transmit(&[0x04]).is_err());
    drop(link);
    let seen = card.join().unwrap();
    assert_eq!(seen, [vec![0x01], vec![0x04], vec![0x00, 0xA4, 0x04, 0x00], vec![0x00]]);
}

#[test]
fn a_card_that_hangs_up_is_an_error_and_no_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let mut link = TcpCard::new(listener.accept().unwrap().0).unwrap();
    drop(stream);
    assert!(link.power_on().is_err());
}
