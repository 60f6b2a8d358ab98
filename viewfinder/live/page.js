"use strict";

const at = (id) => document.getElementById(id);
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const canvas = at("picture");
let number = 0;

function say(text, good) {
  if (at("state").textContent !== text) at("state").textContent = text;
  at("state").className = good ? "good" : "";
}

function pairs(list, row, first, second) {
  return list.map((pair) => {
    const made = document.createElement(row);
    [first, second].forEach((kind, i) => made.append(Object.assign(document.createElement(kind), { textContent: pair[i] })));
    return made;
  });
}

function tell(told) {
  at("title").textContent = told.title;
  at("figures").replaceChildren(...pairs(told.figures, "div", "dt", "dd"));
  at("text").textContent = told.text;
  at("things").replaceChildren(...pairs(told.things, "li", "span", "span"));
}

function paint(picture) {
  if (canvas.width !== picture.width || canvas.height !== picture.height) {
    canvas.width = picture.width;
    canvas.height = picture.height;
  }
  canvas.getContext("2d").drawImage(picture, 0, 0);
  picture.close();
}

async function visible() {
  while (document.hidden) await new Promise((done) => document.addEventListener("visibilitychange", done, { once: true }));
}

async function run() {
  for (;;) {
    await visible();
    try {
      const answer = await fetch(`frame?after=${number}`);
      if (answer.status === 410) return say("ended", false);
      if (answer.status === 403) return say("this address is not valid any more", false);
      if (answer.status === 200) {
        const picture = await createImageBitmap(await answer.blob());
        number = Number(answer.headers.get("X-Number"));
        paint(picture);
        tell(JSON.parse(answer.headers.get("X-Told")));
        say("live", true);
      } else {
        say("no new picture: waiting for the source", false);
      }
    } catch {
      say("no connection: ended, or trying again", false);
      await sleep(1000);
    }
  }
}

run();
