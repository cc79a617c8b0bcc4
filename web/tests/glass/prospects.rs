//! What the schemes would bring a miner: simulated with the pool's own numbers, once a question.

use crate::glass::Glass;

#[tokio::test(flavor = "multi_thread")]
async fn a_miner_sees_this_pools_scheme_beside_the_others_and_their_picture() {
    let glass = Glass::new().await;
    let (status, _, page) = glass.text("/prospects").await;
    assert_eq!(status, 200);
    assert!(!page.contains("<tbody>"), "nothing is simulated before something is asked");
    let (_, _, wrong) = glass.text("/prospects?hashrate=much").await;
    assert!(wrong.contains("must be a number above zero"), "{wrong}");

    let (status, _, page) = glass.text("/prospects?hashrate=1&unit=MH%2Fs").await;
    assert_eq!(status, 200);
    for scheme in ["PPLNS, here", "solo", "look-back 216", "FPPS"] {
        assert!(page.contains(scheme), "{scheme}: {page}");
    }
    let mut sources = page.split("src=\"").filter_map(|rest| rest.split('"').next());
    let picture = sources.find(|src| src.contains("prospects.svg")).unwrap();
    let (status, kind, svg) =
        glass.text(&picture.replace("&#x2f;", "/").replace("&amp;", "&")).await;
    assert_eq!((status, kind.as_str()), (200, "image/svg+xml"));
    assert!(svg.contains("</svg>"));
    let (_, _, again) = glass.text("/prospects?hashrate=1&unit=MH%2Fs").await;
    let table = |page: &str| page.split("tbody").nth(1).unwrap().to_owned();
    assert_eq!(table(&page), table(&again), "the same question has the same answer");
}
