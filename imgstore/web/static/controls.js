// What the reader does: buttons, fields and keys, and what each of them asks of the viewer.

import { newest } from "./asking.js";
import { PLAIN } from "./picture.js";
import { SPEEDS } from "./player.js";
import { copy, mark, save, saveRange, unmark } from "./saving.js";

const $ = (id) => document.getElementById(id);

export function listen(viewer) {
  const doing = {
    play: () => viewer.play(),
    first: () => viewer.jump(0),
    last: () => viewer.jump(viewer.count - 1),
    back: () => viewer.jump(viewer.shown - 1),
    forward: () => viewer.jump(viewer.shown + 1),
    "fault-before": () => viewer.fault(-1),
    "fault-after": () => viewer.fault(1),
    "line-in": () => viewer.zoomLine(0.5),
    "line-out": () => viewer.zoomLine(2),
    "line-all": () => viewer.spanTo([0, viewer.count]),
    "zoom-in": () => viewer.zoomPicture(1.5),
    "zoom-out": () => viewer.zoomPicture(1 / 1.5),
    "zoom-fit": () => viewer.zoomPicture(0),
    "zoom-one": () => viewer.zoomPicture(1),
    "reset-picture": () => {
      for (const id of ["brightness", "contrast", "gamma"]) $(id).value = 0;
      $("map").value = "plain";
      viewer.adjust({ ...PLAIN });
      viewer.zoomPicture(0);
    },
    levels: () => {
      for (const picture of viewer.pictures) {
        picture.fromFrame();
        picture.draw();
      }
      viewer.tellLevels();
    },
    save: () => save(viewer),
    copy: () => copy(viewer),
    "mark-in": () => mark(viewer, 0),
    "mark-out": () => mark(viewer, 1),
    "mark-none": () => unmark(viewer),
    "export-frames": () => saveRange(viewer, "zip"),
    "export-video": () => saveRange(viewer, "mp4"),
  };
  const act = async (name) => {
    try {
      const done = await doing[name]();
      if (typeof done === "string") answer(document.querySelector(`[data-do="${name}"]`), done);
    } catch (error) {
      viewer.say(error.message, true);
    }
  };
  for (const button of document.querySelectorAll("[data-do]")) button.addEventListener("click", () => act(button.dataset.do));

  $("speed").replaceChildren(...SPEEDS.map((speed) => Object.assign(document.createElement("option"), { value: speed, textContent: `${speed}×`, selected: speed === 1 })));
  $("speed").addEventListener("change", () => (viewer.player.speed = Number($("speed").value)));
  $("mode").addEventListener("change", () => (viewer.player.every = $("mode").value === "every"));
  $("align").addEventListener("change", () => {
    const url = new URL(location.href);
    url.searchParams.set("r", viewer.question.r);
    url.searchParams.set("align", $("align").value);
    location.assign(url);
  });
  for (const id of ["brightness", "contrast", "gamma"]) $(id).addEventListener("input", () => viewer.adjust({ [id]: Number($(id).value) }));
  $("map").addEventListener("change", () => viewer.adjust({ map: $("map").value }));
  for (const id of ["low", "high"]) {
    $(id).addEventListener("change", () => Number.isFinite(parseFloat($(id).value)) && viewer.adjust({ [id]: parseFloat($(id).value) }));
  }
  $("pixel-at").addEventListener("change", () => {
    const text = $("pixel-at").value.trim();
    const found = /^(\d{1,6})\s*[,;\s]\s*(\d{1,6})$/.exec(text);
    for (const picture of viewer.pictures) {
      picture.pinned = found && [Number(found[1]), Number(found[2])];
      picture.point();
    }
    viewer.say(text && !found ? `${text} is no place of a pixel: give x, y` : "", true);
  });
  $("live").addEventListener("click", () => {
    viewer.following = !viewer.following;
    if (viewer.following) viewer.see(viewer.count - 1);
  });
  $("beside-panel").addEventListener("toggle", () => {
    if (!$("beside-panel").open || $("beside-panel").dataset.ready) return;
    viewer.plots.open($("beside-panel")).catch((error) => {
      $("columns").textContent = error.message;
      delete $("beside-panel").dataset.ready; // opening it again tries again
    });
  });
  const typed = newest(async (_, id) => {
    const text = $(id).value.trim();
    if (!text) return;
    if (id === "number") await viewer.find("number", text);
    else if (id === "time") await viewer.find("time", text);
    else if (/^\d{1,15}$/.test(text) && Number(text) < viewer.count) await viewer.jump(Number(text)).then(() => viewer.say(""));
    else viewer.say(`There is no position ${text}, they go from 0 to ${viewer.count - 1}.`, true);
    viewer.tell();
  });
  let last = null;
  for (const id of ["number", "index", "time"]) {
    $(id).addEventListener("input", () => (last = id));
    $(id).addEventListener("focus", () => $(id).select());
    $(id).addEventListener("blur", () => viewer.tell());
  }
  $("where").addEventListener("submit", (event) => {
    event.preventDefault();
    const id = ["number", "index", "time"].includes(document.activeElement?.id) ? document.activeElement.id : last;
    if (id) typed(id).then(() => $(id).blur());
  });
  window.addEventListener("hashchange", (event) => viewer.fromHash(new URL(event.newURL).hash)); // its own has moved on, perhaps
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => [viewer.whole, viewer.part].forEach((line) => line.draw()));
  document.addEventListener("keydown", (event) => key(viewer, event, act));
}

// A button says for a moment that it was heard, where the eyes are; the message with all of it may be out of sight.
function answer(button, text) {
  if (button.dataset.was) return;
  button.dataset.was = button.textContent;
  button.style.minWidth = `${button.offsetWidth}px`;
  button.textContent = text;
  setTimeout(() => {
    button.textContent = button.dataset.was;
    delete button.dataset.was;
  }, 1500);
}

function key(viewer, event, act) {
  const { target, key } = event;
  if (target.closest("dialog") || event.altKey || event.metaKey) return;
  if (target.matches("input:not([type=range],[type=checkbox]), select")) {
    if (key === "Escape") target.blur();
    return;
  }
  if (target.matches("input[type=range]") && key.startsWith("Arrow")) return;
  if (key === " " && target.matches("button, summary, input, a")) return; // it presses that
  const far = event.ctrlKey ? 60 : event.shiftKey ? 1 : 0;
  const letters = { k: "play", s: "save", c: "copy", i: "mark-in", o: "mark-out" };
  const sideways = { ArrowLeft: -1, ",": -1, "<": -1, ArrowRight: 1, ".": 1, ">": 1 }[key];
  if (sideways) {
    if (far) viewer.seconds(sideways * far).catch((error) => viewer.say(error.message, true));
    else act(sideways < 0 ? "back" : "forward");
  } else if (event.ctrlKey) return;
  else if (key === " ") act("play");
  else if (key === "Home") act("first");
  else if (key === "End") act("last");
  else if (key === "PageUp") act("fault-before");
  else if (key === "PageDown") act("fault-after");
  else if (key === "[") viewer.speed(-1);
  else if (key === "]") viewer.speed(1);
  else if (key === "+" || key === "=") act("zoom-in");
  else if (key === "-") act("zoom-out");
  else if (key === "0") act("zoom-fit");
  else if (key === "?") $("help").showModal();
  else if (key.toLowerCase() === "g") $("number").focus();
  else if (key.toLowerCase() === "t") $("time").focus();
  else if (key.toLowerCase() === "p") $("pixel-at").focus();
  else if (key.toLowerCase() === "j" || key.toLowerCase() === "l") {
    const direction = key.toLowerCase() === "j" ? -1 : 1;
    if (viewer.player.playing && viewer.player.direction === direction) viewer.speed(1);
    else viewer.play(direction);
  } else if (letters[key.toLowerCase()]) act(letters[key.toLowerCase()]);
  else return;
  event.preventDefault();
}
