// Keeps an open page up to date, shows values under the pointer, and copies. Every page is whole without it.
(() => {
  "use strict";

  function follow(path) {
    const source = new EventSource(path);
    let lists = null;
    source.addEventListener("update", (event) => {
      const update = JSON.parse(event.data);
      for (const [key, text] of Object.entries(update.values)) {
        for (const element of document.querySelectorAll(`[data-k="${key}"]`)) {
          if (element.textContent === text) continue;
          element.textContent = text;
          element.classList.remove("new");
          void element.offsetWidth;
          element.classList.add("new");
        }
      }
      if (lists !== null && lists !== update.lists) renew();
      lists = update.lists;
    });
    setInterval(renew, 60000);
  }

  // Lists and charts are fetched again as they are, from the page itself.
  async function renew() {
    const parts = document.querySelectorAll("[data-part]");
    if (parts.length === 0 || document.hidden) return;
    const answer = await fetch(location.href, { headers: { accept: "text/html" } }).catch(() => null);
    if (!answer || !answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of parts) {
      const now = fresh.querySelector(`[data-part="${part.dataset.part}"]`);
      if (now && now.innerHTML !== part.innerHTML) part.replaceChildren(...now.childNodes);
    }
    charts();
  }

  function charts() {
    for (const svg of document.querySelectorAll("svg.chart:not(.bars)")) {
      if (svg.dataset.ready) continue;
      svg.dataset.ready = "1";
      const tip = svg.querySelector(".tip");
      const tips = tip.dataset.tips.split("|");
      const path = svg.querySelector(".line");
      if (!path || tips.length < 2) continue;
      const points = path.getAttribute("d").split(/[ML]/).slice(1).map((pair) => pair.split(" ").map(Number));
      // One line for both drawings of a chart, of which one is shown.
      let said = svg.parentElement.querySelector(".said");
      if (!said) {
        said = document.createElement("p");
        said.className = "said";
        said.setAttribute("aria-live", "polite");
        svg.parentElement.append(said);
      }
      const show = (event) => {
        const box = svg.getBoundingClientRect();
        const x = ((event.clientX - box.left) / box.width) * Number(svg.dataset.width);
        let nearest = 0;
        points.forEach(([px], at) => {
          if (Math.abs(px - x) < Math.abs(points[nearest][0] - x)) nearest = at;
        });
        const [px, py] = points[nearest];
        tip.classList.add("on");
        tip.querySelector("line").setAttribute("x1", px);
        tip.querySelector("line").setAttribute("x2", px);
        tip.querySelector("circle").setAttribute("cx", px);
        tip.querySelector("circle").setAttribute("cy", py);
        said.textContent = tips[nearest];
      };
      svg.addEventListener("pointermove", show);
      svg.addEventListener("pointerdown", show);
      svg.addEventListener("pointerleave", () => {
        tip.classList.remove("on");
        said.textContent = "";
      });
    }
  }

  function copying() {
    for (const button of document.querySelectorAll("[data-copy]")) {
      if (!navigator.clipboard) return;
      button.hidden = false;
      button.addEventListener("click", async () => {
        await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
        const name = button.textContent;
        button.textContent = "Copied";
        setTimeout(() => { button.textContent = name; }, 1500);
      });
    }
  }

  const live = document.body.dataset.live;
  if (live) follow(live);
  charts();
  copying();
})();
