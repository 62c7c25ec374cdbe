// The life of an account in a browser, by the pages alone: sign up, confirm, change, reset, delete.
// `node ui.mjs '{"browser":…,"url":…,"strict":…,"mails":…,"shots":…,"name":…,"invited":…,"password":…,"script":true}'` prints what was
// seen as JSON. `strict` is another server, where addresses have to be confirmed before the first login, and one login a day is permitted.

import { readFileSync, readdirSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { fill, follow, press, says, start, variants } from './harness.mjs'

const task = JSON.parse(process.argv[2])
const { url, strict, mails, name, invited, password, script } = task
const { browser, open, look, expect, problems, steps } = await start(task)

// The link of a page in the newest mail to an address, once there are `count` of them.
async function link(address, path, count = 1) {
  const deadline = Date.now() + 20000
  for (;;) {
    const found = readdirSync(mails).filter((file) => file.endsWith('.eml')).sort().flatMap((file) => {
      // As a mail program joins lines.
      const mail = readFileSync(`${mails}/${file}`, 'utf8').replaceAll(/=\r?\n/g, '')
      const link = mail.match(new RegExp(`${url}/authy/ui/${path}/[A-Za-z0-9_-]+`))
      return mail.includes(`To: ${address}\r\n`) && link ? [{ link: link[0], file }] : []
    })
    if (found.length >= count) return found.at(-1).link
    expect(Date.now() < deadline, `no mail to ${address} with ${path}`)
    await pause(50)
  }
}

try {
  const [first, second, third] = [`${name}@example.org`, `${name}@example.com`, `${password}-second`]
  const page = await open()

  // Sign up: with what is wrong, then right.
  await page.goto(`${url}/`)
  await look(page, 'log in')
  await page.getByRole('link', { name: 'Sign up' }).click()
  await look(page, 'sign up')
  await fill(page, { Username: name, 'Email address': first, Password: 'tangerine', 'The same password again': 'tangerine' })
  await press(page, 'Create the account')
  await look(page, 'weak password')
  expect(await page.getByLabel('Username').inputValue() === name, 'the name is still there')
  expect(await page.getByLabel('Password', { exact: true }).inputValue() === '', 'the password is not')
  if (script) expect(await page.evaluate(() => document.activeElement.id) === 'password', 'what is wrong has the focus')
  await fill(page, { Password: password, 'The same password again': password })
  await press(page, 'Create the account')
  await says(page, 'Welcome!')
  await look(page, 'new account')

  // Confirm: the link shows, the button does.
  const confirmation = await link(first, 'confirm')
  for (let visit = 0; visit < 2; visit++) await page.goto(confirmation)
  await look(page, 'confirm')
  await page.goto(`${url}/authy/ui/account`)
  await says(page, 'not confirmed')
  await page.goto(confirmation)
  await press(page, 'Confirm this address')
  await look(page, 'confirmed')
  await page.getByRole('link', { name: 'Go to your account' }).click()
  await look(page, 'account')
  expect(await page.getByText('not confirmed').count() === 0, 'the address is confirmed')
  await page.goto(`${url}/authy/ui/confirm/nonsense`)
  await look(page, 'bad link')

  // Another address.
  await page.goto(`${url}/authy/ui/account`)
  await page.getByRole('link', { name: 'Change the address' }).click()
  await fill(page, { 'New email address': second, 'Current password': 'not-it' })
  await press(page, 'Send the link')
  await says(page, 'This is not your password.')
  await look(page, 'wrong password')
  await fill(page, { 'Current password': password })
  await press(page, 'Send the link')
  await says(page, 'A link is on its way to the new address.')
  await page.goto(await link(second, 'confirm'))
  await look(page, 'new address')
  await press(page, 'Confirm this address')
  await page.goto(`${url}/authy/ui/account`)
  await says(page, second)

  // Another device, and its end with the password.
  const other = await open({ userAgent: 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0' })
  await other.goto(`${url}/authy/ui/login?return=/authy/ui/account/sessions`)
  await fill(other, { Username: name, Password: password })
  await press(other, 'Log in')
  await look(other, 'sessions')
  expect(await other.getByRole('listitem').count() === 2, 'there are two sessions')
  await page.goto(`${url}/authy/ui/account/sessions`)
  await press(page, 'Log out Firefox on Linux')
  await says(page, 'The device is logged out.')
  await other.goto(`${url}/authy/ui/account`)
  await look(other, 'logged out elsewhere')
  await fill(other, { Username: name, Password: password })
  await other.getByLabel('Stay logged in').check()
  await press(other, 'Log in')
  await look(other, 'logged in again')
  await page.goto(`${url}/authy/ui/account/password`)
  await look(page, 'change password')
  await fill(page, { 'Current password': password, 'New password': third, 'The same password again': `${third}x` })
  await press(page, 'Save the password')
  await says(page, 'The two passwords are not the same.')
  await look(page, 'passwords differ')
  await fill(page, { 'Current password': password, 'New password': third, 'The same password again': third })
  await press(page, 'Save the password')
  await says(page, 'Your new password is saved.')
  await other.goto(`${url}/authy/ui/account`)
  await look(other, 'ended by the password')

  // The data as a file.
  const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'Download' }).click()])
  const data = JSON.parse(readFileSync(await file.path(), 'utf8'))
  expect(data.user.username === name && file.suggestedFilename() === 'account.json', 'the export is the account')

  // Forgotten.
  await press(page, 'Log out')
  await look(page, 'logged out')
  await page.getByRole('link', { name: 'Forgot your password?' }).click()
  await look(page, 'forgot')
  await fill(page, { 'Email address': second })
  await press(page, 'Send the link')
  await look(page, 'mail sent')
  const reset = await link(second, 'reset')
  await page.goto(reset)
  await look(page, 'reset')
  expect(await page.getByLabel('Username').inputValue() === name, 'the name is there for password managers')
  await fill(page, { 'New password': password, 'The same password again': password })
  await press(page, 'Save the password')
  await says(page, 'Log in with it.')
  await page.goto(reset)
  await look(page, 'used link')
  await page.getByRole('link', { name: 'Ask for another link' }).click()
  await fill(page, { 'Email address': second })
  await press(page, 'Send the link')
  const unused = new URL(await link(second, 'reset', 2)).pathname.replace('/authy/ui/', '')
  await page.goto(`${url}/authy/ui/login`)
  await fill(page, { Username: name, Password: third })
  await press(page, 'Log in')
  await says(page, 'The username or the password is wrong.')
  await look(page, 'wrong login')
  await fill(page, { Username: name, Password: password })
  await press(page, 'Log in')
  await says(page, 'Your account')

  // Invited: the first password.
  const guest = await open()
  await guest.goto(await link(`${invited}@example.org`, 'reset'))
  await says(guest, 'You were invited')
  await look(guest, 'invited')
  await fill(guest, { 'New password': password, 'The same password again': password })
  await press(guest, 'Save the password')
  await says(guest, 'Log in with it.')
  const tab = await open({}, guest)
  await tab.goto(guest.url())
  await fill(guest, { Username: invited, Password: password })
  await press(guest, 'Log in')
  await says(guest, 'Your account')
  // What another tab still shows leads on.
  await fill(tab, { Username: invited, Password: password })
  await press(tab, 'Log in')
  await says(tab, 'Your account')

  // Where the address has to be confirmed first, and few logins are permitted.
  const stranger = await open()
  await stranger.goto(`${strict}/authy/ui/signup`)
  await fill(stranger, { Username: name, 'Email address': first, Password: password, 'The same password again': password })
  await press(stranger, 'Create the account')
  await says(stranger, 'Then you can log in.')
  await look(stranger, 'confirm first')
  await stranger.locator('main').getByRole('link', { name: 'Log in', exact: true }).click()
  await fill(stranger, { Username: name, Password: password })
  await press(stranger, 'Log in')
  await says(stranger, 'Confirm your address first')
  await look(stranger, 'not confirmed')
  await fill(stranger, { Username: name, Password: password })
  await press(stranger, 'Log in')
  await says(stranger, 'Too many attempts.')
  await look(stranger, 'too many attempts')

  // A form of another site.
  await stranger.goto(`data:text/html,<form method="post" action="${url}/authy/ui/login"><button>Send</button></form>`)
  await press(stranger, 'Send')
  await says(stranger, 'It did not come from a page of this site.')
  await look(stranger, 'foreign form')

  // In German on a small screen, and dark; what does not exist. Without scripts there is nothing else to see.
  for (const [about, options] of script ? variants : []) {
    const another = await open(options)
    const state = (await page.context().cookies()).filter(({ name }) => name !== 'authy-language')
    for (const path of ['login', 'signup', 'forgot', unused, 'reset/x', 'confirm/x', 'nothing']) {
      await another.goto(`${url}/authy/ui/${path}`)
      await look(another, `${about} ${path === unused ? 'reset' : path}`)
    }
    await another.context().addCookies(state)
    for (const path of ['account', 'account/email', 'account/password', 'account/sessions', 'account/delete', 'again']) {
      await another.goto(`${url}/authy/ui/${path}`)
      await look(another, `${about} ${path}`)
    }
    const expected = about.includes('german') ? 'de' : 'en'
    expect(await another.locator('html').getAttribute('lang') === expected, `${about} has its language`)
    await another.context().close()
  }
  await press(page, 'Deutsch')
  await says(page, 'Dein Konto')
  await press(page, 'English')

  // The end.
  await page.getByRole('link', { name: 'Delete the account' }).click()
  await look(page, 'delete')
  await press(page, `Delete the account ${name}`)
  await says(page, 'Your account is deleted.')
  await look(page, 'deleted')
  await fill(page, { Username: name, Password: password })
  await press(page, 'Log in')
  await says(page, 'The username or the password is wrong.')
} finally {
  await browser.close()
}
console.log(JSON.stringify({ problems, steps }))
