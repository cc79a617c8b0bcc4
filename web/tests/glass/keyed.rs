//! What needs a key, and what is paid for.

use crate::glass::Glass;
use serde_json::{Value, json};
use web::keys::Tier;

const HERE: [u8; 4] = [127, 0, 0, 1];
const ELSEWHERE: [u8; 4] = [192, 0, 2, 7];

fn height(id: u64) -> String {
    json!({ "jsonrpc": "2.0", "id": id, "method": "getblockcount", "params": [] }).to_string()
}

fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_asked_with_a_key_over_a_line_that_nobody_reads() {
    let glass = Glass::new().await;
    let key = glass.site.keys.make("shop", Tier::Paid, (600, 5), glass.site.now()).unwrap();
    assert_eq!(glass.ask_node(None, HERE, &height(1)).await.0, 401);
    assert_eq!(glass.ask_node(Some("adit_guess"), HERE, &height(1)).await.0, 403);
    let (status, text) = glass.ask_node(Some(&key), ELSEWHERE, &height(1)).await;
    assert!(status == 403 && text.contains("https"), "{text}");
    let (status, text) = glass.ask_node(Some(&key), HERE, &height(7)).await;
    assert_eq!((status, read(&text)), (200, json!({ "jsonrpc": "2.0", "id": 7, "result": 205 })));
    let refused = r#"{"id":"a","method":"getblock","params":["ff"]}"#;
    let (_, text) = glass.ask_node(Some(&key), HERE, refused).await;
    assert_eq!(read(&text)["error"], json!({ "code": -8, "message": "no block \"ff\"" }));
    let (_, text) = glass.ask_node(Some(&key), HERE, r#"{"method":"sendtoaddress"}"#).await;
    assert!(text.contains("not offered") && text.contains("getblockcount"), "{text}");
    // Six came with the key, and five are the day's.
    let (status, text) = glass.ask_node(Some(&key), HERE, r#"{"method":"getdifficulty"}"#).await;
    assert!(status == 503, "{status} {text}");
    assert_eq!(glass.ask_node(Some(&key), HERE, &height(9)).await.0, 429);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keys_owner_sees_what_was_counted() {
    let glass = Glass::new().await;
    let key = glass.site.keys.make("shop", Tier::Paid, (600, 50), glass.site.now()).unwrap();
    for id in 0..3 {
        glass.ask_node(Some(&key), HERE, &height(id)).await;
    }
    assert_eq!(glass.ask_node(Some(&key), HERE, "nonsense").await.0, 400);
    let text = glass.with_key("/api/v1/usage", &key).await;
    let usage = read(&text);
    assert_eq!((&usage["label"], &usage["used_today"]), (&json!("shop"), &json!(5)), "{text}");
    let calls = usage["node_calls"].as_array().unwrap();
    assert_eq!(calls.len(), 1);
    assert_eq!((&calls[0]["method"], &calls[0]["calls"]), (&json!("getblockcount"), &json!(3)));
    let (status, ..) = glass.text("/api/v1/usage").await;
    assert_eq!(status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_paid_for_is_marked_as_such_in_its_place_only() {
    let glass = Glass::new().await;
    for (path, own, other) in [("/", "Fans", "A miner"), ("/leaderboard", "A miner", "Fans")] {
        let (_, _, text) = glass.text(path).await;
        assert!(text.contains("Sponsored") && text.contains(own), "{text}");
        assert!(!text.contains(other) && text.contains("rel=\"sponsored nofollow noopener\""));
        assert!(text.contains("&lt;b&gt;quiet&lt;"), "its text is text: {text}");
    }
    let (_, _, text) = glass.text("/blocks").await;
    assert!(!text.contains("Sponsored"));
}
