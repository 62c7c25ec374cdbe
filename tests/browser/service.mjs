// The console's pages about the service, as a superadmin and as an administrator see them: overview, events, keys, sinks.
// `node service.mjs '{"browser":…,"url":…,"shots":…,"root":…,"admin":…,"user":…,"password":…}'` prints what was seen as JSON.

import { readFileSync } from 'node:fs'
import { fill, follow, press, says, start, variants } from './harness.mjs'

const task = { ...JSON.parse(process.argv[2]), script: true }
const { url, root, admin, user, password } = task
const { browser, open, look, expect, problems, steps } = await start(task)

async function logIn(page, name) {
  await page.goto(`${url}/authy/ui/login?return=/authy/ui/admin`)
  await fill(page, { Username: name, Password: password })
  await press(page, 'Log in')
}

try {
  // The overview.
  const page = await open()
  await logIn(page, root)
  await look(page, 'overview')
  await page.getByText('The numbers', { exact: true }).click()
  expect(await page.locator('table tbody tr').count() > 0, 'the table has the hours')
  await look(page, 'overview numbers')

  // Events: a filter that can be shared, what is wrong with one, a file.
  await follow(page, 'Events')
  await look(page, 'events')
  await page.getByLabel('User, name or ID').fill(user)
  await page.getByLabel('Kind', { exact: true }).selectOption('session.opened')
  await page.getByLabel('From (UTC)').fill('2019-06-11T10:03')
  await press(page, 'Show')
  await says(page, 'All events')
  const shared = page.url()
  expect(await page.locator('.trail > li').count() === 1, 'one event matches')
  await page.locator('.trail summary').first().click()
  await says(page, '"kind": "session.opened"')
  await look(page, 'events filtered')
  const [file] = await Promise.all([page.waitForEvent('download'), follow(page, 'Download as CSV')])
  const rows = readFileSync(await file.path(), 'utf8').trim().split('\r\n')
  expect(rows.length === 2 && file.suggestedFilename() === 'events.csv', 'the file has the events of the filter')
  const [other_file] = await Promise.all([page.waitForEvent('download'), follow(page, 'Download as JSON lines')])
  const events = readFileSync(await other_file.path(), 'utf8').trim().split('\n').map((line) => JSON.parse(line))
  expect(events.length === 1 && events[0].kind === 'session.opened', 'the lines are the events of the filter')
  expect(other_file.suggestedFilename() === 'events.jsonl', 'the file has a name')
  // A time as a program writes it is still there when the form is sent again.
  await page.goto(`${url}/authy/ui/admin/events?since=2019-06-11T12:03:09%2B02:00`)
  await press(page, 'Show')
  expect(new URL(page.url()).searchParams.get('since') === '2019-06-11T10:03:09', 'the time is kept')
  await page.goto(`${url}/authy/ui/admin/events?since=yesterday`)
  expect(await page.getByLabel('From (UTC)').inputValue() === 'yesterday', 'what is wrong can be corrected')
  await page.getByLabel('User, name or ID').fill('nobody-at-all')
  await press(page, 'Show')
  await says(page, 'Nobody has this name.')
  await look(page, 'events wrong filter')

  // Keys.
  await follow(page, 'Signing keys')
  await look(page, 'keys')
  await follow(page, 'Rotate')
  await look(page, 'key rotate')
  await press(page, 'Create the next key')
  await says(page, 'The next key is published.')
  await look(page, 'key rotated')
  await page.getByRole('link', { name: /^Revoke the key / }).last().click()
  await look(page, 'key revoke')
  await press(page, 'Revoke the key')
  await says(page, 'The key is revoked')
  await look(page, 'key revoked')

  // Sinks.
  await follow(page, 'Sinks')
  await look(page, 'sinks')
  await page.getByRole('link', { name: /^Give up the delivery of / }).first().click()
  await look(page, 'delivery skip')
  await follow(page, 'Cancel')
  await page.getByRole('link', { name: /^Retry the delivery of / }).first().click()
  await look(page, 'delivery retry')
  await press(page, 'Deliver it again')
  await says(page, 'It is delivered again now.')
  await look(page, 'delivery retried')
  for (let number = 0; number < 2; number++) {
    await page.getByRole('link', { name: /^Give up the delivery of / }).first().click()
    await press(page, 'Give it up')
    await says(page, 'The delivery is given up.')
  }
  await look(page, 'delivery given up')
  await page.getByRole('link', { name: 'recorder' }).click()
  await look(page, 'sink')
  await page.getByRole('link', { name: /^Dismiss the delivery of / }).first().click()
  await look(page, 'delivery dismiss')
  await press(page, 'Dismiss it')
  await says(page, 'The delivery is dismissed.')
  await look(page, 'delivery dismissed')
  await page.getByRole('link', { name: 'recorder' }).click()
  await follow(page, 'Dismiss all')
  await look(page, 'deliveries dismiss')
  await press(page, 'Dismiss all')
  await says(page, 'They are dismissed.')
  expect(await page.getByRole('link', { name: /^Dismiss the delivery of / }).count() === 0, 'none is left')
  await look(page, 'deliveries dismissed')

  // The reference of events, for everybody.
  const reader = await open()
  await reader.goto(`${url}/authy/docs/events`)
  await look(reader, 'event reference')
  await reader.locator('.columns a').last().click()
  expect(new URL(reader.url()).hash === '#delivery.dismissed', 'a kind has an address')

  // What an administrator sees, who may change none of it; and a link that was shared.
  const other = await open()
  await logIn(other, admin)
  await other.goto(shared)
  expect(await other.locator('.trail > li').count() === 1, 'the link has the filter')
  for (const path of ['keys', 'sinks']) {
    await other.goto(`${url}/authy/ui/admin/${path}`)
    await look(other, `${path} as an administrator`)
    expect(await other.locator('main .button').count() === 0, `nothing is offered in ${path}`)
  }

  // On a small screen, dark, in German; without JavaScript.
  for (const [about, options] of [
    ...variants,
    ['wide', { viewport: { width: 1920, height: 1080 } }],
    ['without JavaScript', { javaScriptEnabled: false }],
  ]) {
    const another = await open(options)
    const state = (await page.context().cookies()).filter(({ name }) => name !== 'authy-language')
    await another.context().addCookies(state)
    for (const path of ['', '/events', '/events?user=nobody-at-all', '/keys', '/keys/rotate', '/sinks']) {
      await another.goto(`${url}/authy/ui/admin${path}`)
      await look(another, `${about} service${path}`)
    }
    await another.goto(`${url}/authy/docs/events`)
    await look(another, `${about} event reference`)
    await another.context().close()
  }
} finally {
  await browser.close()
}
console.log(JSON.stringify({ problems, steps }))
