//! A question to the operator, from the form to the answer.

use crate::glass::Glass;

/// What stands between two marks of a page.
fn between<'a>(page: &'a str, from: &str, to: &str) -> &'a str {
    let (_, rest) = page.split_once(from).unwrap_or_else(|| panic!("no {from} in {page}"));
    rest.split_once(to).unwrap().0
}

#[tokio::test(flavor = "multi_thread")]
async fn members_have_more_statistics_and_are_first_at_the_desk() {
    let glass = Glass::new().await;
    let site = &glass.site;
    let named = site.named("miner 1").await.unwrap().unwrap();
    let account = named.account.unwrap();
    let set = site.pool.order(move |books, _, _| {
        books.set_settings(account, None, true);
        Ok(())
    });
    set.await.unwrap();
    let (status, _, page) = glass.text("/miner/miner%201/statistics").await;
    assert!(status == 200 && page.contains("23.04590164") && page.contains("1.00 %"), "{page}");
    let (status, _, page) = glass.text("/miner/miner%202/statistics").await;
    assert!(status == 403 && page.contains("for members"), "{page}");
    let first = [("subject", "First"), ("text", "<b>Me</b> first")];
    assert_eq!(glass.post("/support", "", &first).await.status, 303);
    // Signed in two steps, with line ends as browsers write them.
    let said = [("address", "miner 1"), ("subject", "Lost coins"), ("text", "Where\r\nis it?")];
    let step = glass.post("/support", "", &[&said[..], &[("act", "sign")]].concat()).await;
    let message = between(&step.page, "<code id=\"message\">", "</code>").to_owned();
    let made_at = between(&step.page, "name=\"made_at\" value=\"", "\"").to_owned();
    assert!(message.contains("miner 1 asks for support"), "{message}");
    let forged = [("signature", "guess"), ("made_at", &*made_at)];
    let refused = glass.post("/support", "", &[&said[..], &forged].concat()).await;
    assert!(refused.status == 422 && refused.page.contains("nobody signed"), "{}", refused.page);
    let signature = format!("signed: {message}");
    let signed = [("signature", &*signature), ("made_at", &*made_at)];
    let own = glass.post("/support", "", &[&said[..], &signed].concat()).await;
    assert_eq!(own.status, 303, "{}", own.page);
    let (_, _, page) = glass.text(&own.to).await;
    assert!(page.contains("who signed it") && page.contains("waiting"), "{page}");

    // The desk is nobody's without a session.
    let (_, _, page) = glass.text("/operator/support").await;
    assert!(!page.contains("Lost coins") && page.contains("token"), "{page}");
    let token = site.operators.make("ann", site.now()).unwrap();
    let cookie = glass.post("/operator/login", "", &[("token", &token)]).await.cookie;
    let page = glass.with_cookie("/operator/support", &cookie).await;
    let (first, second) = (page.find("Lost coins").unwrap(), page.find("First").unwrap());
    assert!(first < second && page.contains("member") && page.contains("&lt;b&gt;Me"), "{page}");
    let csrf = between(&page, "name=\"csrf\" value=\"", "\"").to_owned();
    let id = between(&page, "name=\"id\" value=\"", "\"").to_owned();
    let answer = [("act", "answer"), ("id", &*id), ("text", "It was sent today.")];
    let act = async |csrf: &str| {
        glass.post("/operator/support", &cookie, &[&answer[..], &[("csrf", csrf)]].concat()).await
    };
    assert_eq!(act("no").await.status, 403);
    let done = act(&csrf).await;
    assert_eq!(done.status, 303, "{}", done.page);
    let (_, _, page) = glass.text(&own.to).await;
    assert!(page.contains("It was sent today.") && page.contains("ann, for the pool"), "{page}");
    let page = glass.with_cookie("/operator/support", &cookie).await;
    assert!(!page.contains("Lost coins") && page.contains("First"), "{page}");
}
