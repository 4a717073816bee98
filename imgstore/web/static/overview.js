// The start page: every recording of the folders, found at once; what is in each is asked for when it comes into sight.

import { address, ask } from "./asking.js";

const AT_ONCE = 3;
const AGAIN = 2000; // ms after which a server that was away is asked again

export async function showOverview({ title, recordings }) {
  const $ = (id) => document.getElementById(id);
  document.title = `${title} – imgstore`;
  $("title").textContent = title;
  $("subtitle").textContent = `${recordings.length} recordings`;
  $("overview").hidden = false;
  const chosen = new Set();
  const cards = recordings.map((recording) => makeCard(recording, chosen, () => {
    $("compare").disabled = chosen.size < 2;
    $("compare").textContent = chosen.size ? `Show ${chosen.size} side by side` : "Show side by side";
    $("choose-none").hidden = !chosen.size;
  }));
  const waiting = [];
  let working = 0;
  const work = () => {
    while (working < AT_ONCE && waiting.length) {
      const card = waiting.shift();
      working++;
      fill(card).then((away) => {
        if (away) setTimeout(() => work(waiting.push(card)), AGAIN);
        working--;
        work();
      });
    }
  };
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      seen.unobserve(entry.target);
      waiting.push(cards.find((card) => card.element === entry.target));
    }
    work();
  }, { rootMargin: "300px" });

  const arrange = () => {
    const words = $("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const key = $("sort").value;
    const shown = cards.filter((card) => words.every((word) => card.text.includes(word)));
    if (key === "title") shown.sort((a, b) => a.title.localeCompare(b.title, undefined, { numeric: true }));
    else shown.sort((a, b) => (b[key] ?? -1) - (a[key] ?? -1));
    $("cards").replaceChildren(...shown.map((card) => card.element));
    $("how-many").textContent = shown.length === cards.length ? "" : shown.length ? `${shown.length} of ${cards.length}` : "No recording has that in its name or format.";
  };
  for (const card of cards) seen.observe(card.element);
  $("filter").addEventListener("submit", (event) => event.preventDefault());
  $("search").addEventListener("input", arrange);
  $("sort").addEventListener("change", () => {
    if (["duration", "missing"].includes($("sort").value)) {
      // to be sorted by what is in them all have to be looked into
      for (const card of cards) if (!card.asked && !waiting.includes(card)) waiting.push(card);
      work();
    }
    arrange();
  });
  let soon;
  document.addEventListener("filled", () => {
    if (!["duration", "missing"].includes($("sort").value) && !$("search").value) return;
    clearTimeout(soon);
    soon = setTimeout(arrange, 200);
  });
  $("choose-none").addEventListener("click", () => {
    for (const card of cards) if (card.box.checked) card.box.click();
  });
  $("compare").addEventListener("click", () => location.assign(linkTo([...chosen].join(".")) + location.hash));
  arrange();
}

function linkTo(name) {
  const url = new URL("./", location.href);
  url.searchParams.set("r", name);
  return url.href;
}

function make(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function makeCard({ name, title, made }, chosen, changed) {
  const image = make("img", { alt: "", loading: "lazy" });
  image.hidden = true;
  const body = make("div", { className: "body" });
  const link = make("a", { className: "name", href: linkTo(name), textContent: title });
  const thumb = make("a", { className: "thumb", href: linkTo(name), tabIndex: -1 }, image);
  thumb.setAttribute("aria-hidden", "true");
  const box = make("input", { type: "checkbox" });
  box.addEventListener("change", () => {
    box.checked ? chosen.add(name) : chosen.delete(name);
    changed();
  });
  const pick = make("label", {}, box, document.createTextNode("choose"));
  box.setAttribute("aria-label", `choose ${title}`);
  const facts = make("div", { className: "quiet", textContent: "…" });
  body.append(link, facts, pick);
  const element = make("li", { className: "card" }, thumb, body);
  return { name, title, made, element, image, thumb, facts, box, text: title.toLowerCase(), asked: false };
}

// Tell what is in a recording; true where the server is away.
async function fill(card) {
  if (card.asked) return false;
  card.asked = true;
  try {
    const facts = await ask("facts", { r: card.name });
    const [camera] = facts.cameras;
    card.duration = camera.duration;
    card.text += ` ${camera.format}`.toLowerCase();
    const summary = await ask("summary", { r: card.name });
    const of = (kind) => summary.totals[kind];
    card.missing = of("missing")[1];
    const size = camera.shape.slice(0, 2).reverse().join(" × ");
    const rate = summary.fps ? `, ${Number(summary.fps.toPrecision(4))} per second` : "";
    const faults = [
      [card.missing, "missing", "missing"], [of("pause")[0], "pause", "pauses"], [of("clock")[0], "clock step", "clock steps"],
      [of("repeat")[0] + of("back")[0], "number out of order", "numbers out of order"],
    ].filter(([n]) => n).map(([n, one, many]) => `${n} ${n > 1 ? many : one}`).join(", ");
    card.facts.replaceChildren(
      make("div", { textContent: `${camera.format}, ${size}, ${camera.dtype}` }),
      make("div", { textContent: facts.count ? `${facts.count} frames, ${span(camera.duration)}${rate}` : "no frames" }),
      make("div", { textContent: camera.from }),
      make("div", { className: faults ? "bad" : "", textContent: faults || (facts.count ? "nothing missing" : "") }),
    );
    if (!facts.count) card.thumb.append(make("span", { textContent: "No frame has been recorded yet" }));
    else {
      card.image.src = address("frame", { r: card.name, index: 0, kind: "jpeg", most: 480 });
      card.image.hidden = false;
      card.image.addEventListener("error", () => card.image.replaceWith(make("span", { textContent: "The first frame cannot be shown" })));
    }
  } catch (error) {
    if (error.status === 0) {
      card.asked = false;
      return true;
    }
    card.thumb.append(make("span", { textContent: "This cannot be shown" }));
    card.facts.replaceChildren(make("div", { className: "bad", textContent: error.message }));
  }
  document.dispatchEvent(new Event("filled"));
  return false;
}

export function span(seconds) {
  if (!(seconds >= 0)) return "";
  if (seconds < 120) return `${Number(seconds.toFixed(2))} s`;
  const [d, h, m] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
  return [d && `${d} d`, (d || h) && `${h} h`, `${m} min`].filter(Boolean).join(" ");
}
