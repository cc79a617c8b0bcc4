//! A person at the pages: a headless browser, driven over WebDriver.

use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::json;
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use testkit::{Port, Process};

/// How long a page may take to show something.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Browser {
    pub tab: Client,
    base: String,
    _driver: Process,
    _port: Port,
    _folder: TempDir,
}

impl Browser {
    /// Opens a browser that asks this address.
    pub async fn open(address: std::net::SocketAddr) -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), Port::take());
        let arguments = [format!("--port={}", port.number()), "--allowed-ips=127.0.0.1".into()];
        let log = folder.path().join("log");
        let home = [("HOME", folder.path().display().to_string())];
        let driver = Process::start(Path::new("chromedriver"), &arguments, &home, &log);
        testkit::wait_for("chromedriver", || std::net::TcpStream::connect(port.address()).ok());
        let options = json!({
            "binary": "/usr/bin/chromium",
            "args": [
                "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                "--disable-background-networking", "--window-size=1280,900",
                format!("--user-data-dir={}", folder.path().join("profile").display()),
            ],
        });
        let mut wanted = fantoccini::wd::Capabilities::new();
        wanted.insert("goog:chromeOptions".into(), options);
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let driven_at = format!("http://{}", port.address());
        let tab =
            builder.capabilities(wanted).connect(&driven_at).await.expect("the browser opens");
        Browser {
            tab,
            base: format!("http://{address}"),
            _driver: driver,
            _port: port,
            _folder: folder,
        }
    }

    pub async fn go(&self, path: &str) {
        self.tab.goto(&format!("{}{path}", self.base)).await.unwrap();
    }

    /// What the page says, as people read it.
    pub async fn text(&self) -> String {
        // Between two pages there is none.
        match self.tab.find(Locator::Css("body")).await {
            Ok(body) => body.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    /// Waits until the page says it, without loading it again.
    pub async fn until_it_says(&self, words: &str) -> String {
        let start = Instant::now();
        loop {
            let text = self.text().await;
            if text.contains(words) {
                return text;
            }
            assert!(start.elapsed() < PATIENCE, "waited for \"{words}\" in:\n{text}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The text of the first element that fits.
    pub async fn text_of(&self, css: &str) -> String {
        let found = self.tab.wait().at_most(PATIENCE).for_element(Locator::Css(css)).await;
        found.unwrap().text().await.unwrap_or_default()
    }

    pub async fn fill(&self, css: &str, text: &str) {
        let found = self.tab.wait().at_most(PATIENCE).for_element(Locator::Css(css)).await;
        let field = found.unwrap();
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    pub async fn click(&self, css: &str) {
        let found = self.tab.wait().at_most(PATIENCE).for_element(Locator::Css(css)).await;
        found.unwrap().click().await.unwrap();
    }

    pub async fn path(&self) -> String {
        self.tab.current_url().await.unwrap().path().to_owned()
    }
}
