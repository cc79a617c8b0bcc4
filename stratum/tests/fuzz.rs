//! Whatever comes over the wire: an answer or an error, never a panic, and the same in any number of pieces.

use stratum::proxy;
use stratum::template::Template;
use stratum::wire::v1;
use testkit::fuzz::fuzz;

const LINES: [&[u8]; 12] = [
    br#"{"id":1,"method":"mining.configure","params":[["version-rolling","minimum-difficulty"],{"version-rolling.mask":"1fffe000","minimum-difficulty.value":2048}]}"#,
    br#"{"id":2,"method":"mining.subscribe","params":["bitaxe/BM1366/v2.4.5","deadbeef"]}"#,
    br#"{"id":"3","method":"mining.authorize","params":["bcrt1qxyz.rig%2E1","d=1000;md=5,x"]}"#,
    br#"{"id":null,"method":"mining.suggest_difficulty","params":[{"difficulty":0.00015}]}"#,
    br#"{"id":-4.5,"method":"mining.suggest_target","params":["00000000ffff0000000000000000000000000000000000000000000000000000"]}"#,
    br#"{"method":"mining.submit","id":4,"params":["a.b","6a1.2","0000000000000001","65a1b2c3","ABCD","1fffe000"]}"#,
    br#"{"id":5,"method":"mining.submit","params":["a","6a1","00","65a1b2c3",12345]}"#,
    br#"{"id":6,"method":"mining.get_transactions","params":["6a1"]}"#,
    br#"{"id":7,"method":"mining.extranonce.subscribe","params":[]}"#,
    br#"{"id":8,"result":true,"error":null}"#,
    br#"{"id":9,"method":"mining.multi_version","params":[1],"jsonrpc":"2.0"}"#,
    br#"[1,2,{"a":"\ud800"}]"#,
];

#[test]
fn fuzz_the_v1_wire() {
    fuzz(&LINES, |line| {
        if let Ok((id, _)) = v1::parse(line) {
            // An id that was read is written back as JSON.
            let mut out = Vec::new();
            v1::write_true(&id, &mut out);
            assert!(
                serde_json::from_slice::<serde_json::Value>(&out).is_ok(),
                "{}",
                String::from_utf8_lossy(line)
            );
        }
    });
}

#[test]
fn fuzz_the_proxy_header() {
    let v2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01\x30\x39\x0d\x05";
    let v6: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\x01\0\x02";
    let v1: &[u8] = b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n";
    let unknown: &[u8] = b"PROXY UNKNOWN\r\n{\"id\":1}";
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    fuzz(&[v2, v6, v1, unknown], |bytes| {
        let mut stream = bytes;
        let taken = runtime.block_on(proxy::read_from(&mut stream)).is_some();
        assert!(!taken || bytes.starts_with(b"PROXY ") || bytes.starts_with(b"\r\n\r\n"));
    });
}

#[test]
fn fuzz_the_template() {
    let seed: &[u8] = br#"{"version":536870912,"previousblockhash":"000000000000000000024bead8df69990852c202db0e0097c1a12ea637d7e96d","transactions":[{"data":"0100","txid":"00000000000000000002aaaad8df69990852c202db0e0097c1a12ea637d7e96d","fee":5,"depends":[]}],"coinbasevalue":5000000000,"curtime":1700000000,"mintime":1699999000,"bits":"1d00ffff","height":700,"default_witness_commitment":"6a24aa21a9ed","rules":["!segwit"],"vbrequired":0,"longpollid":"x"}"#;
    fuzz(&[seed], |text| {
        drop(Template::read(&String::from_utf8_lossy(text)));
    });
}
