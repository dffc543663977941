// One player for the whole page: browsers allow only some dozens of them, and a page holds hundreds of clips.
"use strict";
const player = new Audio();
const sentences = [...document.querySelectorAll(".sentence")];
let chosen = null; // the track whose clip the player holds

const tracksOf = (sentence) => [...sentence.querySelectorAll(".track")];
const sentenceOf = (track) => track.closest(".sentence");

function show() {
  for (const track of document.querySelectorAll(".track.playing, .track.chosen")) {
    track.classList.remove("playing", "chosen");
    label(track, "play");
  }
  for (const sentence of document.querySelectorAll(".sentence.current")) sentence.classList.remove("current");
  if (!chosen) return;
  sentenceOf(chosen).classList.add("current");
  chosen.classList.add("chosen");
  if (!player.paused) {
    chosen.classList.add("playing");
    label(chosen, "pause");
  }
}

function label(track, verb) {
  track.querySelector(".play").setAttribute("aria-label", `${verb}: ${track.dataset.title}`);
}

function place() {
  if (!chosen) return;
  const longest = Number(sentenceOf(chosen).dataset.seconds);
  sentenceOf(chosen).style.setProperty("--at", Math.min(1, player.currentTime / longest));
}

// Hold a track's clip, at a place in seconds.
function choose(track, at, playing) {
  chosen = track;
  player.src = track.querySelector("audio").getAttribute("src");
  player.onloadedmetadata = () => {
    track.dataset.duration = player.duration;
    player.currentTime = Math.min(at, Math.max(0, player.duration - 0.05));
    place();
  };
  player.load();
  if (playing) player.play().catch(() => show());
  show();
}

function toggle(track) {
  if (track !== chosen) {
    const beside = chosen && sentenceOf(track) === sentenceOf(chosen);
    choose(track, beside && !player.ended ? player.currentTime : 0, true);
  } else if (player.paused) {
    player.play().catch(() => show());
  } else {
    player.pause();
  }
}

function move(step) {
  const visible = sentences.filter((sentence) => !sentence.hidden && sentence.querySelector(".track"));
  const here = chosen ? visible.indexOf(sentenceOf(chosen)) : -1;
  const next = visible[Math.max(0, Math.min(visible.length - 1, here + step))];
  if (!next || (chosen && next === sentenceOf(chosen))) return;
  const key = chosen ? chosen.dataset.key : "";
  player.pause();
  choose(tracksOf(next).find((track) => track.dataset.key === key) || tracksOf(next)[0], 0, false);
  next.scrollIntoView({ block: "center" });
}

for (const event of ["play", "pause", "ended"]) player.addEventListener(event, show);
player.addEventListener("seeked", place);
(function follow() {
  if (!player.paused) place();
  requestAnimationFrame(follow);
})();

for (const sentence of sentences) {
  for (const track of tracksOf(sentence)) {
    track.querySelector("audio").hidden = true;
    track.querySelector("audio").removeAttribute("controls");
    track.querySelector(".play").hidden = false;
    track.querySelector(".play").addEventListener("click", () => toggle(track));
    track.querySelector(".wave").addEventListener("click", (event) => {
      const box = event.currentTarget.getBoundingClientRect();
      choose(track, ((event.clientX - box.left) / box.width) * Number(sentence.dataset.seconds), true);
    });
  }
}

document.addEventListener("keydown", (event) => {
  const at = event.target;
  if (event.ctrlKey || event.metaKey || event.altKey || at.closest("input, summary, .tools button, a")) return;
  if (event.key === " ") {
    const focused = at.closest(".track");
    const track = (focused && focused !== chosen && at.closest(".play") && focused) || chosen;
    const first = sentences.filter((sentence) => !sentence.hidden).flatMap(tracksOf)[0];
    if (track || first) toggle(track || first);
  } else if (/^[1-9]$/.test(event.key)) {
    const sentence = chosen ? sentenceOf(chosen) : sentences.find((one) => !one.hidden);
    const track = sentence && tracksOf(sentence).find((one) => one.dataset.key === event.key);
    if (!track) return;
    if (track !== chosen) toggle(track);
    if (at.closest(".play")) track.querySelector(".play").focus();
  } else if (event.key === "j" || event.key === "k") {
    move(event.key === "j" ? 1 : -1);
  } else {
    return;
  }
  event.preventDefault();
});

const box = document.querySelector("#search");
const buttons = [...document.querySelectorAll("[data-filter]")];
function filter() {
  const wanted = buttons.find((button) => button.getAttribute("aria-pressed") === "true").dataset.filter;
  const words = box.value.toLowerCase().trim();
  let n = 0;
  for (const sentence of sentences) {
    const fits = wanted === "all" || sentence.dataset[wanted] === "yes";
    sentence.hidden = !(fits && sentence.textContent.toLowerCase().includes(words));
    n += sentence.hidden ? 0 : 1;
  }
  document.querySelector(".count").textContent = `${n} of ${sentences.length} shown`;
}
for (const button of buttons) {
  button.addEventListener("click", () => {
    for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
    filter();
  });
}
if (box) box.addEventListener("input", filter);
