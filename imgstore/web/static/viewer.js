// The viewer: one place that knows which frame is shown, and everything that moves it.

import { ask } from "./asking.js";
import { listen } from "./controls.js";
import { Frames } from "./frames.js";
import { span as spanOf } from "./overview.js";
import { Picture } from "./picture.js";
import { Player, SPEEDS } from "./player.js";
import { Plots } from "./plots.js";
import { Strip } from "./strip.js";
import { KINDS, Line, amountOf } from "./timeline.js";

const REST = 120; // ms without another frame after which the whole frame is fetched, where only a preview was
const POLL = [1000, 5000]; // ms between looks for new frames: of a recording that runs, and of one that does not seem to

const $ = (id) => document.getElementById(id);

export async function showViewer(name, align, list) {
  const question = { r: name, align };
  const fromAddress = location.hash;
  // the first frame is asked for with the first question, before anything is known
  const first = new Frames({ ...question, camera: 0 });
  if (!fromAddress) first.want(0, false);
  const facts = await ask("facts", question);
  const viewer = new Viewer(question, facts, first);
  await viewer.begin(fromAddress);
  list.then(({ at_once }) => ($("home").hidden = at_once === name)).catch(() => {});
}

class Viewer {
  constructor(question, facts, first) {
    Object.assign(this, { question, facts, count: facts.count });
    this.shown = 0; // the step that is wanted, and soon seen
    this.towards = 1; // the last way that it went
    this.near = true; // and whether that was a single step: more of these come, likely
    this.wishes = 0; // how often the reader has wanted to be elsewhere: what is found for one before the last moves nothing
    this.asked = this.seen = 0; // how often it was asked to show a step, and the last of these that is seen
    this.label = null; // of the first camera's frame that is seen
    this.marks = [null, null];
    this.damaged = new Set(); // steps that were met and cannot be read
    this.anchor = "index"; // what the address says
    this.following = true;
    this.fps = null;
    this.span = [0, Math.max(1, this.count)];
    this.frames = facts.cameras.map((_, camera) => (camera ? new Frames({ ...question, camera }) : first));
    for (const frames of this.frames) frames.damaged = (step) => this.met(step);
    this.pictures = facts.cameras.map(({ name, shape }) => new Picture(name, shape, () => this.tellPixel()));
    $("stage").replaceChildren(...this.pictures.map((picture) => picture.element));
    $("stage").classList.toggle("many", this.pictures.length > 1);
    const go = (step) => this.jump(step);
    this.whole = new Line($("whole"), question, facts.cameras, { go, name: "whole" });
    this.part = new Line($("part"), question, facts.cameras, { go, zoom: (f, at) => this.zoomLine(f, at), pan: (n) => this.panLine(n), name: "part" });
    this.strip = new Strip($("strip"), question, { go, idle: () => !this.player.playing && this.frames.every((f) => f.idle), damaged: (step) => this.met(step) });
    this.plots = new Plots($("plots"), $("columns"), question, {
      go, values: (index) => (this.intervals?.[0] === index ? this.intervals[1] : ""),
    });
    this.player = new Player({
      show: (step) => this.see(step),
      ahead: (steps) => this.frames.forEach((frames) => frames.ahead(steps)),
      ended: () => this.tellPlaying(),
      at: () => this.shown,
      count: () => this.count,
      fps: () => this.fps,
    });
    this.player.secondsOf = (step) => this.frames[0].find(step, false)?.label?.since;
  }

  async begin(hash) {
    const { facts } = this;
    const names = facts.cameras.map((camera) => camera.name).join(", ");
    document.title = `${names} – imgstore`;
    $("title").textContent = $("title").title = names;
    const [camera] = facts.cameras;
    this.tellLength(facts.count, camera.duration);
    $("viewer").hidden = false;
    $("levels").hidden = camera.dtype === "uint8";
    $("align-label").hidden = facts.cameras.length < 2;
    $("align").value = facts.align || "number";
    this.about();
    listen(this);
    if (!this.count) for (const picture of this.pictures) picture.show({ label: null, error: "there is none", absent: "No frame has been recorded yet" });
    else if (hash) await this.fromHash(hash);
    else await this.see(0);
    performance.mark("first frame");
    this.lines();
    document.body.dataset.ready = "yes";
    this.summary().catch((error) => this.say(error.message, true));
    this.poll();
  }

  tellLength(count, seconds) {
    const { align, cameras } = this.facts;
    const [{ format, shape: [height, width], dtype }] = cameras;
    const what = align ? `${cameras.length} cameras in step by ${align}` : `${format}, ${width} × ${height} ${dtype}`;
    $("subtitle").textContent = `${what}, ${count} frames, ${spanOf(seconds)}`;
  }

  about() {
    const rows = this.facts.cameras.flatMap((c) => [
      ["Name", c.name], ["Where", c.path], ["Format", `${c.format}${c.lossless ? ", lossless" : ""}`], ["Frames", `${c.count} in ${c.chunks} chunks`],
      ["From", c.from], ["To", c.to],
    ]);
    const list = Object.assign(document.createElement("dl"), { className: "facts" });
    for (const [what, text] of rows) {
      list.append(Object.assign(document.createElement("dt"), { textContent: what }), Object.assign(document.createElement("dd"), { textContent: text }));
    }
    $("about").replaceChildren(list);
  }

  async summary() {
    const { fps, totals } = await ask("summary", this.question);
    this.fps = fps;
    const parts = Object.entries(totals).filter(([, [places]]) => places);
    const said = ([kind, [places, amount]]) => (kind === "missing" && amount > places ? `${amount} missing numbers in ${places} ${places > 1 ? "places" : "place"}` : `${places} ${KINDS[kind][places > 1 ? 1 : 0]}`);
    $("legend").replaceChildren(
      ...(parts.length ? parts : [[null]]).map((part) => {
        const span = document.createElement("span");
        if (part[0]) span.append(Object.assign(document.createElement("i"), { className: `i-${part[0]}` }));
        span.append(part[0] ? said(part) : this.count ? "nothing is missing" : "");
        return span;
      }),
    );
  }

  // -- which frame ------------------------------------------------------------------------------------------------

  // See a step: null seconds, or undefined where another one is wanted before it came.
  async see(step, exact = false) {
    if (step !== this.shown) [this.towards, this.near] = [Math.sign(step - this.shown), Math.abs(step - this.shown) === 1];
    this.shown = step;
    const mine = ++this.asked;
    this.move();
    const came = await Promise.all(
      this.frames.map(async (frames, camera) => {
        frames.levels = this.levelsOf(camera);
        let frame = await frames.want(step, exact);
        if (!frame) return null;
        frame = frames.find(step, false) ?? frame; // the frame itself may have come before its preview
        // while the reader drags, what comes on the way is shown too, unless something newer has been seen; several cameras show
        // one step or none
        if (this.shown === step || (this.frames.length === 1 && mine > this.seen)) {
          frames.shown = frame;
          this.pictures[camera].show(frame);
          this.tellLevels();
          this.seen = mine;
        }
        return frame;
      }),
    );
    if (this.shown !== step) return undefined;
    const [frame] = came;
    if (!frame) return undefined;
    this.label = frame.label;
    this.tell();
    clearTimeout(this.resting);
    const soon = came.some((f) => f?.offline) ? POLL[0] : came.every((f) => f?.kind === "raw") ? 30 : REST;
    if (!this.player.playing) this.resting = setTimeout(() => this.rest(step), soon);
    return frame.label?.since ?? null;
  }

  // Nothing moves: the frame itself, and those beside it; on a slow way previews of the next two first, so that steps go on at once.
  async rest(step) {
    const moved = () => step !== this.shown || this.player.playing;
    if (moved()) return;
    const beside = (this.near ? [1, 2, -1, 3, 4] : [1, -1]).map((n) => step + n * this.towards).filter((n) => n >= 0 && n < this.count);
    await Promise.all(this.frames.map((frames) => frames.slow && frames.ahead(beside.slice(0, 2))));
    if (!moved() && this.frames.some((frames) => !frames.find(step, true))) await this.see(step, true);
    if (!moved()) this.frames.forEach((frames) => frames.ahead(beside));
  }

  // A frame that cannot be read was met: the time line has a mark more.
  met(step) {
    if (this.damaged.has(step)) return;
    this.damaged.add(step);
    clearTimeout(this.counting);
    this.counting = setTimeout(() => {
      this.summary().catch(() => {});
      for (const line of [this.whole, this.part]) line.changed();
    }, 300);
  }

  levelsOf(camera) {
    const { low, high } = this.pictures[camera].adjust;
    return low === null ? {} : { low, high };
  }

  jump(step, anchor = "index") {
    this.wishes++;
    this.say(""); // it was about another frame
    this.player.stop();
    this.tellPlaying();
    if (!this.count) return Promise.resolve();
    this.anchor = anchor;
    this.following = false;
    return this.see(Math.min(this.count - 1, Math.max(0, step)));
  }

  move() {
    const said = `position ${this.shown}`;
    const [start, stop] = this.span;
    if (this.shown < start || this.shown >= stop) {
      const wide = stop - start;
      const from = Math.max(0, Math.min(this.count - wide, this.shown - Math.floor(wide / 2)));
      this.spanTo([from, from + wide]);
    }
    this.whole.move(this.shown, said);
    this.part.move(this.shown, said);
    this.plots.move(this.shown);
  }

  tell() {
    const { label } = this;
    const set = (id, text) => document.activeElement !== $(id) && ($(id).value = text);
    set("index", String(this.shown));
    set("number", label?.number ?? "");
    set("time", label?.date ?? "");
    const before = this.frames[0].find(this.shown - 1, false)?.label?.since;
    if (label && before !== undefined && before !== null) this.intervals = [this.shown, `${(label.since - before).toPrecision(5)} s`];
    clearTimeout(this.writing);
    this.writing = setTimeout(() => {
      history.replaceState(null, "", this.address());
      if (label) $("home").hash = `time=${label.time}`; // whoever chooses others to see beside it sees them there
    }, 250);
  }

  address() {
    const url = new URL(location.href);
    const { label } = this;
    if (this.anchor === "number" && label) url.hash = `frame=${label.number}`;
    else if (this.anchor === "time" && label) url.hash = `time=${label.time}`;
    else url.hash = `index=${this.shown}`;
    return url.href;
  }

  async fromHash(hash) {
    const [what, text] = new URLSearchParams(hash.slice(1)).entries().next().value ?? [];
    if (what === "index" && /^\d+$/.test(text)) await this.jump(Number(text));
    else if (what === "frame") await this.find("number", text);
    else if (what === "time") await this.find("time", text);
    else await this.see(0);
    if (!this.label && !this.frames[0].find(this.shown, false)) await this.see(0);
  }

  // Ask where to go; null where the reader has gone elsewhere before the answer came.
  async whereTo(what, parameters) {
    const mine = ++this.wishes;
    const answer = await ask(what, { ...this.question, ...parameters });
    return mine === this.wishes ? answer : null;
  }

  // Go where a question has led; false where the reader has gone elsewhere before that was seen.
  async arrive(step, anchor) {
    const going = this.jump(step, anchor);
    const mine = this.wishes;
    await going;
    return mine === this.wishes;
  }

  async find(what, text) {
    try {
      const found = await this.whereTo("find", { [what]: text, near: this.shown });
      if (!found) return;
      const { index, beside } = found;
      if (!(await this.arrive(index, what))) return;
      const away = spanOf(Math.abs(beside));
      this.say(beside ? `There is no frame at that time. This is the nearest, ${away} ${beside < 0 ? "before" : "after"} it.` : "");
    } catch (error) {
      this.say(error.message, true);
    }
  }

  // Go on by questions, one after the other: what is pressed again before an answer has come is added to what is left to do.
  // move(amount) gives what is left of it, or null where the reader has gone elsewhere.
  async goOn(what, amount, move) {
    if (this.going?.what === what) {
      this.going.amount += amount;
      return;
    }
    const mine = (this.going = { what, amount });
    try {
      while (mine.amount && this.going === mine) {
        const now = mine.amount;
        mine.amount = 0;
        const left = await move(now);
        if (left === null) return;
        mine.amount += left;
      }
    } finally {
      if (this.going === mine) this.going = null;
    }
  }

  fault(direction) {
    return this.goOn("fault", direction, async (amount) => {
      const found = await this.whereTo("fault", { index: this.shown, direction: Math.sign(amount) });
      if (!found) return null;
      const { index, kind, amount: much, camera } = found;
      if (index === null) {
        this.say(amount > 0 ? "Nothing is missing after this frame." : "Nothing is missing before this frame.");
        return null;
      }
      if (!(await this.arrive(index))) return null;
      this.say(`Here: ${amountOf(kind, much)}${camera === null ? "" : ` (${camera})`}.`);
      return amount - Math.sign(amount);
    });
  }

  seconds(away) {
    return this.goOn("seconds", away, async (amount) => {
      const now = Number(this.label?.time ?? NaN);
      const before = this.shown;
      let index = before + Math.round(amount * (this.fps || 25));
      if (Number.isFinite(now)) {
        const found = await this.whereTo("find", { time: (now + amount).toFixed(6), near: before });
        if (!found) return null;
        // where a gap is longer than the step the nearest frame would be this one again
        index = found.index === before ? before + Math.sign(amount) : found.index;
      }
      return (await this.arrive(index)) ? 0 : null;
    });
  }

  say(text, bad = false) {
    $("message").textContent = text;
    $("message").classList.toggle("bad", bad);
  }

  // -- playing ----------------------------------------------------------------------------------------------------

  play(direction = null) {
    const { player } = this;
    this.wishes++;
    this.say("");
    if (player.playing && (direction === null || direction === player.direction)) player.stop();
    else if (this.count) {
      if (direction !== null) player.direction = direction;
      if (this.shown === (player.direction > 0 ? this.count - 1 : 0)) this.shown = player.direction > 0 ? 0 : this.count - 1;
      this.following = false;
      player.play().catch((error) => this.say(error.message, true));
    }
    this.tellPlaying();
  }

  speed(by) {
    const at = SPEEDS.indexOf(this.player.speed);
    this.player.speed = SPEEDS[Math.min(SPEEDS.length - 1, Math.max(0, at + by))];
    $("speed").value = this.player.speed;
    this.tellPlaying();
  }

  tellPlaying() {
    const { playing } = this.player;
    $("play").textContent = playing ? "▮▮" : "▶";
    $("play").setAttribute("aria-label", playing ? "Pause" : "Play");
    if (!playing) {
      clearTimeout(this.resting);
      this.resting = setTimeout(() => this.rest(this.shown), REST);
    }
  }

  // -- time line --------------------------------------------------------------------------------------------------

  lines() {
    this.whole.show([0, Math.max(1, this.count)]);
    this.spanTo(this.span);
  }

  spanTo([from, to]) {
    const wide = Math.max(1, Math.min(this.count, Math.round(to - from)));
    const start = Math.max(0, Math.min(this.count - wide, Math.round(from)));
    this.span = [start, start + wide];
    this.part.show(this.span);
    this.whole.window = wide < this.count ? this.span : null;
    this.whole.draw();
    this.strip.show(this.span);
    this.plots.show(this.span);
    $("span").textContent = this.count ? `positions ${start} to ${start + wide - 1}` : "";
  }

  zoomLine(factor, around = this.shown) {
    const [start, stop] = this.span;
    const wide = Math.max(Math.min(10, this.count), (stop - start) * factor);
    const part = (around - start) / (stop - start);
    this.spanTo([around - part * wide, around - part * wide + wide]);
  }

  panLine(by) {
    this.spanTo([this.span[0] + by, this.span[1] + by]);
  }

  // -- live ---------------------------------------------------------------------------------------------------------

  async poll() {
    let wait = POLL[0];
    for (let quiet = 0; ; quiet++) {
      await new Promise((resolve) => setTimeout(resolve, wait));
      if (document.hidden) continue;
      try {
        const now = await ask("refresh", this.question);
        if (now.live) quiet = 0;
        wait = POLL[quiet > 5 ? 1 : 0];
        await this.grown(now);
      } catch (error) {
        if (error.status) this.say(error.message, true);
        wait = POLL[1];
      }
    }
  }

  async grown({ count, duration, live, rate, dropped, age }) {
    const was = this.count;
    const all = this.span[0] === 0 && this.span[1] >= was;
    const last = this.shown >= was - 1;
    $("live").hidden = !live;
    if (live) {
      const old = age === null ? "" : `, newest ${age < 10 ? `${Math.max(0, age).toFixed(1)} s` : spanOf(Math.round(age))} old`;
      $("live").textContent = `${this.following ? "● following" : "○ live, press to follow"}: ${rate} per second, ${dropped} dropped${old}`;
      $("live").setAttribute("aria-pressed", String(this.following));
    }
    if (count === was) return;
    this.count = count;
    this.tellLength(count, duration);
    if (count < was) this.frames.forEach((frames) => frames.forget());
    this.whole.show([0, Math.max(1, count)]);
    if (all) this.spanTo([0, count]);
    this.summary().catch(() => {});
    if (count && ((live && this.following && !this.player.playing && (last || was)) || this.shown >= count)) {
      this.shown = count - 1;
      await this.see(this.shown);
    }
  }

  // -- the picture ------------------------------------------------------------------------------------------------

  adjust(change) {
    for (const picture of this.pictures) {
      Object.assign(picture.adjust, change);
      if (!picture.frame?.error) picture.draw();
    }
    this.tellLevels();
  }

  tellLevels() {
    const { low, high } = this.pictures[0].adjust;
    for (const [id, value] of [["low", low], ["high", high]]) if (document.activeElement !== $(id)) $(id).value = value ?? "";
  }

  tellPixel() {
    const said = this.pictures.map((picture) => [picture.name, picture.said.pixel.textContent]).filter(([, text]) => text);
    $("pixel").textContent = said.map(([name, text]) => (this.pictures.length > 1 ? `${name}: ${text}` : text)).join("; ") || "–";
  }

  zoomPicture(factor) {
    for (const picture of this.pictures) picture.zoomTo(factor === 0 ? 1 : factor === 1 ? 1 / (window.devicePixelRatio || 1) / picture.fitting() : picture.zoom * factor, null);
  }
}
