// What the scripts that look at the pages share: a browser, and what it notes about every page.

import { chromium } from 'playwright-core'
import { readFileSync } from 'node:fs'

const axe = readFileSync(new URL('../node_modules/axe-core/axe.min.js', import.meta.url), 'utf8')

// How else pages are looked at. German has the longest texts, so it is the language that has to fit on a small screen.
export const variants = [
  ['small german', { locale: 'de-DE', viewport: { width: 320, height: 640 } }],
  ['dark', { colorScheme: 'dark' }],
]

// Starts the browser at a path.
export function launch(executablePath) {
  const flags = ['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync']
  // As root Chromium has no sandbox to start in.
  if (process.getuid() === 0) flags.push('--no-sandbox')
  return chromium.launch({ executablePath, headless: true, args: flags })
}

// What is wrong with a page that runs scripts: its width, and what axe finds. A finding of one of the rules `allowed` is left out
// where it is within the element `part`, and its rule is added to `seen`.
export async function inspect(page, { part, allowed = [], seen = new Set() } = {}) {
  const problems = []
  const { scroll, width } = await page.evaluate(() => ({ scroll: document.documentElement.scrollWidth, width: innerWidth }))
  if (scroll > width) problems.push(`${scroll} px on a screen of ${width} px`)
  await page.evaluate(axe)
  const { violations } = await page.evaluate(() => globalThis.axe.run(document,
    { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'], resultTypes: ['violations'] }))
  for (const { id, nodes } of violations) {
    const others = []
    for (const node of nodes) {
      const isWithin = part && await page.evaluate(([selector, part]) => !!document.querySelector(selector)?.closest(part),
        [node.target[0], part])
      if (isWithin && allowed.includes(id)) seen.add(id)
      else others.push(`${node.html} ${node.failureSummary}`)
    }
    if (others.length) problems.push(`${id}: ${others.join('; ')}`)
  }
  return problems
}

// Begins with the browser at `browser`, for the pages at `url` and `strict`; screenshots go into the folder `shots`.
export async function start({ browser: executablePath, url, strict, shots, script }) {
  const browser = await launch(executablePath)
  const problems = []
  const steps = []
  let shot = 0
  // Whether scripts run on a page.
  const runsScripts = new WeakMap()

  // A browser of its own, with its own cookies, or another tab of that of a page.
  async function open(options, beside) {
    const context = beside?.context() ?? await browser.newContext({ javaScriptEnabled: script, locale: 'en-GB', viewport: { width: 1100, height: 800 }, ...options })
    const page = await context.newPage()
    page.setDefaultTimeout(20000)
    runsScripts.set(page, runsScripts.get(beside) ?? options?.javaScriptEnabled ?? script)
    await page.addInitScript(() => document.addEventListener('securitypolicyviolation',
      (event) => console.error(`violates ${event.violatedDirective}: ${event.blockedURI}`)))
    page.on('console', (message) => {
      // Chromium reports every answer that is an error; the texts of the pages are checked instead.
      const isStatus = message.text().startsWith('Failed to load resource: the server responded with a status')
      if (['error', 'warning'].includes(message.type()) && !isStatus) problems.push(message.text())
    })
    page.on('pageerror', (error) => problems.push(String(error)))
    page.on('request', (request) => {
      const own = [url, strict].includes(new URL(request.url()).origin) || request.url().startsWith('data:')
      if (!own) problems.push(`asks ${request.url()}`)
    })
    return page
  }

  // Notes what the page says, and what is wrong with it: accessibility, width.
  async function look(page, about, exceptions) {
    await page.waitForLoadState()
    const heading = await page.locator('h1').first().innerText()
    steps.push(`${about}: ${heading}`)
    const number = String(++shot).padStart(2, '0')
    await page.screenshot({ path: `${shots}/${number}-${about.replaceAll(/[^a-z0-9]+/gi, '-')}.png`, fullPage: true })
    if (!runsScripts.get(page)) return
    problems.push(...(await inspect(page, exceptions)).map((problem) => `${about}: ${problem}`))
  }

  function expect(is, what) {
    if (!is) throw new Error(`${what}; after ${steps.at(-1)}`)
  }

  return { browser, open, look, expect, problems, steps }
}

export async function fill(page, fields) {
  for (const [label, value] of Object.entries(fields)) await page.getByLabel(label, { exact: true }).fill(value)
}

export const press = (page, label) => page.getByRole('button', { name: label, exact: true }).click()

export const follow = (page, label) => page.getByRole('link', { name: label, exact: true }).click()

export async function says(page, text) {
  await page.getByText(text, { exact: false }).first().waitFor()
}
