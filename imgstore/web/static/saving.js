// What the reader takes along: the frame as PNG, its address, a marked range.

import { address } from "./asking.js";

const $ = (id) => document.getElementById(id);

export async function save(viewer) {
  const saved = [];
  for (const [camera, picture] of viewer.pictures.entries()) {
    const label = picture.frame?.label;
    if (!label || picture.frame.error) continue;
    const time = label.date.replace(/[^\w.-]+/g, "-");
    const link = document.createElement("a");
    link.href = address("frame", { ...viewer.question, camera, index: label.index, kind: "png" }); // what is seen, and not what is on its way
    link.download = `${picture.name.replace(/[^\w.-]+/g, "-")}_frame-${label.number}_${time}.png`;
    link.click();
    saved.push(link.download);
  }
  viewer.say(saved.length ? `Saved as ${saved.join(", ")}` : "There is no frame to save.", !saved.length);
  return saved.length ? "Saved" : null;
}

export async function copy(viewer) {
  const text = viewer.address();
  history.replaceState(null, "", text);
  try {
    await navigator.clipboard.writeText(text);
    viewer.say(`Copied: ${text}`);
    return "Copied";
  } catch {
    viewer.say(`The address is: ${text}`); // a page that is not at this machine may not use the clipboard
    return null;
  }
}

export function mark(viewer, which) {
  viewer.marks[which] = viewer.shown;
  if (viewer.marks[0] !== null && viewer.marks[1] !== null && viewer.marks[0] > viewer.marks[1]) viewer.marks[1 - which] = null;
  const [from, to] = viewer.marks;
  tell(viewer, from !== null && to !== null ? `${from} to ${to}, ${to - from + 1} ${to > from ? "frames" : "frame"}` : from !== null ? `from ${from}` : `to ${to}`);
}

export function unmark(viewer) {
  viewer.marks = [null, null];
  tell(viewer, "mark its ends with I and O");
}

function tell(viewer, said) {
  const [from, to] = viewer.marks;
  $("range").textContent = said;
  document.querySelector("[data-do=mark-none]").disabled = from === null && to === null;
  for (const button of document.querySelectorAll("button.range")) button.disabled = from === null || to === null;
  for (const line of [viewer.whole, viewer.part]) {
    line.marks = viewer.marks;
    line.draw();
  }
}

export function saveRange(viewer, kind) {
  const [start, stop] = viewer.marks;
  viewer.pictures.forEach((picture, camera) => {
    const link = document.createElement("a");
    link.href = address("export", { ...viewer.question, camera, kind, start, stop: stop + 1 });
    link.download = `${picture.name.replace(/[^\w.-]+/g, "-")}_${start}-${stop}.${kind}`;
    link.click();
  });
  viewer.say(`Frames ${start} to ${stop} are being saved.`);
  return "Saving…";
}
