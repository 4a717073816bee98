// A recording in a notebook. What is wanted is asked for when what was asked before has come: the newest wins, and nothing queues up.

const REST = 150; // ms without another frame after which the whole frame is asked for
const COLOURS = { missing: "#c62828", pause: "#b26a00" };

function make(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function render({ model, el }) {
  const count = model.get("count");
  const canvas = make("canvas", { className: "frame" });
  canvas.setAttribute("role", "img");
  const said = make("output", { className: "said" });
  const line = make("canvas", { className: "line", width: model.get("buckets") || 1, height: 12 });
  line.setAttribute("aria-hidden", "true");
  const slider = make("input", { type: "range", min: 0, max: Math.max(0, count - 1), value: model.get("position") });
  slider.setAttribute("aria-label", "Position");
  const play = make("button", { type: "button", textContent: "▶" });
  play.setAttribute("aria-label", "Play");
  const place = make("div", { className: "imgstore-view" }, canvas, make("div", { className: "row" }, play, make("div", { className: "lines" }, line, slider)), said);
  el.append(place);

  const context = line.getContext("2d");
  for (const [kind, found] of Object.entries(model.get("marks"))) {
    context.fillStyle = COLOURS[kind];
    for (const [bucket] of found) context.fillRect(Math.min(bucket, line.width - 2), 0, 2, line.height);
  }

  let wanted = model.get("position");
  let asked = null; // what has not come yet
  let resting;
  let began = null; // when playing began, and where

  const ask = (whole) => {
    if (asked || !count) return;
    asked = { position: wanted, whole };
    model.send(asked);
  };

  const go = (position) => {
    wanted = Math.min(count - 1, Math.max(0, position));
    slider.value = wanted;
    clearTimeout(resting);
    ask(false);
  };

  const came = async (answer, buffers) => {
    if (answer.position === undefined) return;
    const bitmap = answer.error ? null : await createImageBitmap(new Blob([buffers[0]], { type: answer.type }));
    if (bitmap) {
      canvas.width = bitmap.width;
      canvas.height = bitmap.height;
      canvas.getContext("2d").drawImage(bitmap, 0, 0);
      bitmap.close();
    } else canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
    said.textContent = `frame ${answer.number}, position ${answer.position}, ${answer.time} · ${answer.error ?? (answer.exact ? "exact" : "preview")}`;
    said.classList.toggle("bad", Boolean(answer.error));
    canvas.setAttribute("aria-label", said.textContent);
    Object.assign(canvas.dataset, { position: answer.position, exact: Boolean(answer.exact) });
    asked = null;
    if (wanted !== answer.position) ask(false);
    else if (!began) {
      if (!answer.whole) resting = setTimeout(() => ask(true), REST);
      if (model.get("position") !== wanted) {
        model.set("position", wanted);
        model.save_changes();
      }
    }
  };

  const tick = () => {
    if (!began || !el.isConnected) return;
    const due = began.position + Math.floor(((performance.now() - began.at) / 1000) * model.get("fps"));
    if (due !== wanted) go(due);
    if (due >= count - 1) pause();
    else requestAnimationFrame(tick);
  };
  const tell = () => {
    play.textContent = began ? "▮▮" : "▶";
    play.setAttribute("aria-label", began ? "Pause" : "Play");
  };
  const pause = () => {
    began = null;
    tell();
    go(wanted);
  };

  play.addEventListener("click", () => {
    if (began) return pause();
    began = { at: performance.now(), position: wanted >= count - 1 ? 0 : wanted };
    tell();
    tick();
  });
  slider.addEventListener("input", () => {
    if (began) pause();
    go(Number(slider.value));
  });
  const moved = () => model.get("position") !== wanted && !began && go(model.get("position"));
  model.on("msg:custom", came);
  model.on("change:position", moved);
  if (count) go(wanted);
  else said.textContent = "The recording is empty.";
  return () => {
    began = null;
    clearTimeout(resting);
    model.off("msg:custom", came);
    model.off("change:position", moved);
  };
}

export default { render };
