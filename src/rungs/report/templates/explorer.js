"use strict";
// Generative networks in the page: noise goes in at the top, each network but the last gives mean and
// variance of the layer below, the last gives the logits of the pixels (src/rungs/report/explorer.py).
{
  const SLOPE = 0.01, MIN_VARIANCE = 1e-5;

  // --- arithmetic -----------------------------------------------------------------------------------
  const bytes = text => Uint8Array.from(atob(text), character => character.charCodeAt(0)).buffer;
  const fromHalf = bits => {
    const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
    if (exponent === 0) return sign * 2 ** -24 * fraction;
    return sign * 2 ** (exponent - 15) * (1 + fraction / 1024);
  };
  const floats = (text, half) =>
    half ? Float32Array.from(new Uint16Array(bytes(text)), fromHalf) : new Float32Array(bytes(text));
  const sigmoid = x => 1 / (1 + Math.exp(-x));
  const softplus = x => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
  const activations = {
    "": y => y,
    leaky: y => y.map(value => value < 0 ? SLOPE * value : value),
    tanh: y => y.map(Math.tanh),
    gated: y => y.slice(0, y.length / 2).map((value, i) => value * sigmoid(y[y.length / 2 + i])),
  };
  const apply = (network, x) => {
    for (const {inputs, outputs, weight, bias, then} of network) {
      const y = new Float32Array(outputs);
      for (let i = 0, at = 0; i < outputs; i++) {
        let sum = bias[i];
        for (let j = 0; j < inputs; j++) sum += weight[at++] * x[j];
        y[i] = sum;
      }
      x = activations[then](y);
    }
    return x;
  };
  // the mean image for the noise of each layer, top first
  const image = (run, noise) => {
    let z = noise[0];
    run.networks.forEach((network, i) => {
      z = apply(network, z);
      const own = noise[i + 1];
      if (own) z = Float32Array.from(own, (e, u) => z[u] + Math.sqrt(softplus(z[own.length + u]) + MIN_VARIANCE) * e);
    });
    return z.map(sigmoid);
  };
  const read = run => ({
    ...run,
    networks: run.networks.map(network => network.map(layer => ({
      ...layer, weight: floats(layer.weight, run.half), bias: floats(layer.bias, false),
    }))),
  });
  const normal = () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
  const draw = units => Float32Array.from({length: units}, normal);

  // --- drawing --------------------------------------------------------------------------------------
  const element = (name, properties = {}, ...children) => {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  };
  // ink dark on white, other images as they are, as in the figures
  const paint = (canvas, pixels, {shape: [height, width], ink}, row = 0, column = 0) => {
    const picture = new ImageData(width, height);
    pixels.forEach((p, i) => {
      const grey = 255 * (ink ? 1 - p : p);
      picture.data.set([grey, grey, grey, 255], 4 * i);
    });
    canvas.getContext("2d").putImageData(picture, column * width, row * height);
  };
  const canvas = (run, rows, columns, label) => {
    const made = element("canvas", {width: columns * run.shape[1], height: rows * run.shape[0]});
    made.setAttribute("role", "img");
    made.ariaLabel = label;
    return made;
  };

  // --- a plane of two latents -----------------------------------------------------------------------
  const plane = (run, place) => {
    // the figure's lattice: place is probability, so that every picture has the same share of the prior
    const {lattice} = run, steps = lattice.length, reach = lattice[steps - 1], NUDGE = 0.05;
    const clamp = (value, least, most) => Math.min(most, Math.max(least, value));
    // from a place between 0 and 1 to a latent and back, straight between the middles of pictures
    const latentAt = place => {
      const at = clamp(place * steps - 0.5, 0, steps - 1), below = Math.min(Math.floor(at), steps - 2);
      return lattice[below] + (at - below) * (lattice[below + 1] - lattice[below]);
    };
    const placeOf = latent => {
      const below = clamp(lattice.findLastIndex(value => value <= latent), 0, steps - 2);
      return (below + (latent - lattice[below]) / (lattice[below + 1] - lattice[below]) + 0.5) / steps;
    };
    const map = canvas(run, steps, steps, "The plane of the two latents");
    map.tabIndex = 0;
    const mark = element("span", {className: "cross"});
    const large = canvas(run, 1, 1, "The image at the point");
    const said = element("output");
    place.append(
      element("p", {}, "Move over the plane, or use the arrow keys: the decoder runs in this page. As in the figure, "
        + `both latents go from −${reach.toFixed(2)} to ${reach.toFixed(2)} by quantiles of N(0, I).`),
      element("div", {className: "stage"},
        element("div", {className: "map"}, map, mark), element("div", {className: "point"}, large, said)));
    for (let row = 0; row < steps; row++)
      for (let column = 0; column < steps; column++)
        paint(map, image(run, [[lattice[column], lattice[steps - 1 - row]]]), run, row, column);
    let point = [0, 0];
    const show = to => {
      point = to.map(value => clamp(value, -reach, reach));
      paint(large, image(run, [point]), run);
      mark.style.left = `${100 * placeOf(point[0])}%`;
      mark.style.top = `${100 * (1 - placeOf(point[1]))}%`;
      said.value = `z = (${point.map(value => value.toFixed(2).replace("-", "−")).join(", ")})`;
    };
    map.addEventListener("pointermove", event => {
      const box = map.getBoundingClientRect();
      show([latentAt((event.clientX - box.left) / box.width), latentAt(1 - (event.clientY - box.top) / box.height)]);
    });
    const keys = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1]};
    map.addEventListener("keydown", event => {
      const by = keys[event.key];
      if (!by) return;
      event.preventDefault();
      show(point.map((value, i) => value + NUDGE * by[i]));
    });
    show(point);
  };

  // --- the layers of a hierarchy --------------------------------------------------------------------
  let named = 0;
  const layers = (run, place) => {
    const ROWS = 3, COLUMNS = 8, depth = run.units.length, name = `layer-${named++}`;
    const sheet = canvas(run, ROWS, COLUMNS, "Draws that share all layers above the chosen one");
    sheet.className = "draws";
    const said = element("output");
    let shared = run.units.map(draw), layer = 0;
    const show = () => {
      const found = Array.from({length: ROWS * COLUMNS}, () =>
        image(run, shared.map((noise, i) => i === layer ? draw(run.units[i]) : noise)));
      found.forEach((pixels, i) => paint(sheet, pixels, run, Math.floor(i / COLUMNS), i % COLUMNS));
      let variance = 0;
      for (let p = 0; p < found[0].length; p++) {
        const values = found.map(pixels => pixels[p]);
        const mean = values.reduce((a, b) => a + b) / values.length;
        variance += values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
      }
      said.value = `A pixel varies by ${Math.sqrt(variance / found[0].length).toFixed(3)} (root mean square).`;
    };
    const choices = element("fieldset", {}, element("legend", {}, "Layer that is drawn anew"));
    run.units.forEach((units, i) => {
      const radio = element("input", {type: "radio", name, checked: i === 0});
      radio.addEventListener("change", () => { layer = i; show(); });
      const top = i === 0 ? ", top" : "";
      choices.append(element("label", {}, radio, ` ${depth - i}${top} (${units} ${units === 1 ? "unit" : "units"})`));
    });
    const again = element("button", {type: "button"}, "Draw this layer again");
    again.addEventListener("click", show);
    const other = element("button", {type: "button"}, "Draw all layers again");
    other.addEventListener("click", () => { shared = run.units.map(draw); show(); });
    place.append(
      element("p", {}, "Each image has its own draw of the chosen layer. The layers above are held, and so is the noise "
        + "of those below. A layer that the model does not use changes nothing."),
      choices, sheet, element("p", {}, again, " ", other, " ", said));
    show();
  };

  // --- begin ----------------------------------------------------------------------------------------
  const stored = JSON.parse(document.getElementById("explorer").textContent);
  const kinds = {vae_manifold: plane, ladder_samples: layers};
  const begin = (figure, place) => {
    const stage = element("div"), last = stored[figure].length - 1;
    const choose = at => {
      stage.replaceChildren();
      kinds[figure](read(stored[figure][at]), stage);
    };
    if (stored[figure].length > 1) {
      const list = element("select", {}, ...stored[figure].map(({run}) => element("option", {}, run)));
      list.addEventListener("change", () => choose(list.selectedIndex));
      list.selectedIndex = last;
      place.append(element("label", {}, "Run ", list));
    } else place.append(element("p", {className: "quiet"}, `Run ${stored[figure][0].run}`));
    place.append(stage);
    choose(last);
  };
  // only when it comes into sight: a lattice takes a moment
  const watcher = new IntersectionObserver(entries => {
    for (const {isIntersecting, target} of entries)
      if (isIntersecting) {
        watcher.unobserve(target);
        begin(target.dataset.figure, target.querySelector(".stand"));
      }
  }, {rootMargin: "400px"});
  for (const place of document.querySelectorAll(".explorer")) watcher.observe(place);
  // for tests: an image of a run by figure and place
  window.rungs = {image: (figure, at, noise) => [...image(read(stored[figure][at]), noise)]};
}
